"""Importing from the client's side: what is sent, in which order, and what is said."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shelflens import AsyncClient, Client
from shelflens.errors import Cancelled, InvalidArgument, InvalidManifest
from shelflens.importing.batches import MAX_IMAGES, cut
from shelflens.importing.in_order import in_order
from shelflens.importing.progress import Progress
from shelflens.importing.run import Import
from shelflens.manifests import SourceRow
from tests.unit.test_client_server import MemoryServer, serving


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        yield client


def shelf(folder: Path, count: int = 5, same: bool = False) -> Path:
    """A manifest of `count` products with one picture each."""
    lines = ["sku,title,image"]
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(b"same" if same else b"picture %d" % number)
        lines.append(f"S{number},Title {number},{number}.jpg")
    (folder / "m.csv").write_text("\n".join(lines))
    return folder / "m.csv"


def sent_lines(server: MemoryServer) -> list[dict[str, Any]]:
    (manifest,) = server.manifests.values()
    return [json.loads(line) for line in manifest.splitlines()]


def test_an_import_makes_the_catalog_uploads_the_images_and_waits(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    notes: list[str] = []
    done = client.import_products("shop", shelf(tmp_path), on_note=notes.append)
    assert (done.done, done.kind, done.display_name) == (True, "import", "m.csv")
    assert (done.counts.rows_read, done.counts.rows_accepted) == (5, 5)
    assert "made catalogs/shop" in notes
    assert notes[0].startswith("columns: sku = sku")
    assert len(server.contents) == 5
    assert server.calls["UploadContents"] == server.calls["FindMissingContents"] == 1


def test_what_the_server_has_is_not_sent_again(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    source = shelf(tmp_path)
    client.import_products("shop", source)
    client.import_products("shop", source)
    assert server.calls["UploadContents"] == 1
    assert server.calls["CreateCatalog"] == 1


def test_one_picture_under_many_names_is_sent_once(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    client.import_products("shop", shelf(tmp_path, same=True))
    assert len(server.contents) == 1
    assert len({line["images"][0]["sha256"] for line in sent_lines(server)}) == 1


def test_rows_arrive_in_their_order_whatever_batch_was_quicker(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    count = MAX_IMAGES * 5 + 7
    client.import_products("shop", shelf(tmp_path, count))
    assert [line["row"] for line in sent_lines(server)] == list(range(1, count + 1))
    assert server.calls["UploadContents"] == 6
    assert len(server.contents) == count


def test_bad_rows_and_images_are_reported_on_their_rows_and_end_nothing(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "m.csv").write_text("sku,image\nA,a.jpg|none.jpg\nB\nC,../x.jpg\nD,a.jpg\n")
    done = client.import_products("shop", tmp_path / "m.csv")
    lines = sent_lines(server)
    good, missing = lines[0]["images"]
    assert set(good) == {"source", "sha256"}
    assert (missing["source"], missing["error"]) == ("none.jpg", "IMAGE_NOT_FOUND")
    assert lines[1]["problem"]["reason"] == "WRONG_COLUMN_COUNT"
    assert lines[2]["images"][0]["error"] == "IMAGE_OUTSIDE_ROOT"
    assert lines[3]["images"] == [good]
    reasons = {(each.row, each.reason, each.row_rejected) for each in done.rejections}
    assert (2, "WRONG_COLUMN_COUNT", True) in reasons
    assert (1, "IMAGE_NOT_FOUND", False) in reasons


def test_images_that_the_server_refuses_are_marked_on_their_rows(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    server.refuse[b"picture 1"] = "IMAGE_TOO_STRANGE"
    client.import_products("shop", shelf(tmp_path, 3))
    entry = sent_lines(server)[1]["images"][0]
    assert entry == {"source": "1.jpg", "error": "IMAGE_TOO_STRANGE", "message": "refused"}


def test_large_images_travel_in_pieces(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    sizes = [1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20]
    (tmp_path / "A").mkdir()
    for size in sizes:
        (tmp_path / "A" / f"{size}.png").write_bytes(b"x" * size)
    client.import_products("shop", tmp_path)
    assert sorted(map(len, server.contents.values())) == sizes


def test_images_start_at_another_root_where_one_is_given(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    source = shelf(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    moved = source.rename(tmp_path / "elsewhere" / "m.csv")
    client.import_products("shop", moved, root=tmp_path)
    assert len(server.contents) == 5


def test_progress_covers_both_phases(client: Client, server: MemoryServer, tmp_path: Path) -> None:
    server.polls_until_done = 2
    heard: list[Progress] = []
    client.import_products("shop", shelf(tmp_path), on_progress=heard.append)
    assert [each.phase for each in heard] == ["upload", "import", "import", "import"]
    assert (heard[0].fraction, heard[0].rows, heard[0].uploaded_images) == (1.0, 5, 5)
    assert heard[0].uploaded_bytes == 5 * len(b"picture 0")
    assert heard[1].operation is not None
    assert heard[-1].fraction == 1.0


def test_without_waiting_the_running_operation_is_returned(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    started = client.import_products("shop", shelf(tmp_path), wait=False)
    assert not started.done
    assert "WaitOperation" not in server.calls


def test_an_upload_survives_a_server_that_is_away(
    client: Client, server: MemoryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shelflens.importing.contents._PAUSES_S", (0.01, 0.01, 0.01))
    client.create_catalog("shop")

    def go_down(progress: Progress) -> None:
        if progress.phase == "upload" and server.calls["UploadContents"] == 1:
            server.down = 4  # as often as gRPC itself tries

    done = client.import_products("shop", shelf(tmp_path, MAX_IMAGES * 2), on_progress=go_down)
    assert done.counts.rows_accepted == MAX_IMAGES * 2


def test_wrong_sources_and_mappings_are_refused_before_the_server_is_asked(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    with pytest.raises(InvalidManifest):
        client.import_products("shop", tmp_path / "none.csv")
    with pytest.raises(InvalidArgument):
        client.import_products("shop", shelf(tmp_path), mapping=["nonsense"])
    assert not server.calls


def test_a_stopped_upload_starts_no_import(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    task = Import(
        client, "shop", shelf(tmp_path, MAX_IMAGES * 3), mapping=(), root=None, separator="|",
        on_progress=lambda _: task.stop(), on_note=lambda _: None,
    )  # fmt: skip
    with pytest.raises(Cancelled):
        task.upload_and_start()
    assert "ImportProducts" not in server.calls


async def test_the_async_client_imports_and_reports_in_its_own_loop(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    threads: set[int] = set()
    async with AsyncClient(client.target) as aio:
        done = await aio.import_products(
            "shop",
            shelf(tmp_path),
            on_progress=lambda _: threads.add(threading.get_ident()),
            on_note=lambda _: threads.add(threading.get_ident()),
        )
    assert done.counts.rows_accepted == 5
    assert threads == {threading.get_ident()}


async def test_cancelling_the_async_import_stops_the_upload(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    async with AsyncClient(client.target) as aio:
        source = shelf(tmp_path, MAX_IMAGES * 8)
        began = asyncio.Event()
        task = asyncio.create_task(
            aio.import_products("shop", source, on_progress=lambda _: began.set())
        )
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert "ImportProducts" not in server.calls


def test_batches_are_bounded_by_rows_images_and_characters() -> None:
    def sizes(rows: list[SourceRow]) -> list[int]:
        return [len(batch.rows) for batch in cut(rows, lambda: 0.0)]

    assert sizes([SourceRow(1)] * 2500) == [1000, 1000, 500]
    assert sizes([SourceRow(1, images=["x"] * 100)] * 7) == [3, 3, 1]
    assert sizes([SourceRow(1, {"title": "x" * 1_500_000})] * 4) == [3, 1]


def test_results_keep_their_order_and_never_more_items_are_held_than_allowed() -> None:
    begun: list[int] = []
    results = in_order(
        lambda item: item * 2,
        (begun.append(item) or item for item in range(100)),  # type: ignore[func-returns-value]
        threads=3,
        ahead=4,
        stop=threading.Event(),
    )
    for place, result in enumerate(results):
        assert result == place * 2
        assert len(begun) <= place + 4


def test_a_failing_item_stops_those_that_run() -> None:
    stop = threading.Event()

    def work(item: int) -> None:
        if item == 0:
            raise LookupError
        assert stop.wait(10)

    with pytest.raises(LookupError):
        list(in_order(work, range(10), threads=2, ahead=2, stop=stop))
    assert stop.is_set()


def test_many_threads_may_share_a_client(client: Client, tmp_path: Path) -> None:
    source = shelf(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        names = [f"shop{number}" for number in range(4)]
        done = list(pool.map(lambda name: client.import_products(name, source), names))
    assert all(each.counts.rows_accepted == 5 for each in done)
