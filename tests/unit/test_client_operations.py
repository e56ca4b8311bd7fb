"""`shelflens operations get|errors` and `shelflens erase`, against a real server."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelflens import AsyncClient, Client
from shelflens.cli.main import run
from shelflens.cli.operation_text import import_lines, operation_lines, printable
from shelflens.errors import InvalidArgument, NotFound
from shelflens.names import content_name
from shelflens.values import Erasure, ImportCounts, Operation, PruneResult, Rejection, StageTime
from tests.unit.test_client_server import MemoryServer, serving

SHA = "a" * 64


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        monkeypatch.setenv("SHELFLENS_TARGET", target)
        yield client


@pytest.fixture
def imported(client: Client, tmp_path: Path) -> Operation:
    (tmp_path / "a.jpg").write_bytes(b"good picture")
    source = tmp_path / "m.csv"
    source.write_text("sku,name,image\nA 1,Tea,a.jpg\nB,Cola,none.jpg\nC\n")
    return client.import_products("shop", source)


class Terminal(io.StringIO):
    """A stdin that a person types into."""

    def isatty(self) -> bool:
        return True


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> str:
    """What a command wrote to stdout."""
    capsys.readouterr()
    assert run([str(each) for each in arguments]) == code
    return capsys.readouterr().out


def test_every_rejection_is_written_to_a_file(
    server: MemoryServer, imported: Operation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = [(n, f"S{n}", "SKU_MISSING", "sku", "ü\n,x", True) for n in range(10, 310)]
    server.extra_rejections = extra
    file = tmp_path / "rejected.csv"
    assert told(capsys, "operations", "errors", imported.name, "-o", file) == ""
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(imported.rejections) + len(extra)
    assert rows[-1]["value"] == "ü\n,x"
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("options", [(), ("-o", "-")])
def test_rejections_go_to_stdout_without_a_file(
    imported: Operation, options: tuple[str, ...], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["operations", "errors", imported.name, *options]) == 0
    out, err = capfdbinary.readouterr()
    assert out.startswith(b"row,sku,reason,field,value,row_rejected\r\n")
    assert (out.count(b"\n"), err) == (3, b"")


def test_rejections_are_json_when_asked(
    imported: Operation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = json.loads(told(capsys, "operations", "errors", imported.name, "--json"))
    assert [each["reason"] for each in listed] == ["IMAGE_NOT_FOUND", "WRONG_COLUMN_COUNT"]
    file = tmp_path / "r.csv"
    written = json.loads(told(capsys, "operations", "errors", imported.name, "-o", file, "--json"))
    assert written["size_bytes"] == file.stat().st_size > 0


def test_an_error_leaves_the_file_that_was_there(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rejected.csv"
    file.write_text("old")
    assert told(capsys, "operations", "errors", "none", "-o", file, code=3) == ""
    assert [each.name for each in tmp_path.iterdir()] == ["rejected.csv"]
    assert file.read_text() == "old"


def test_an_operation_is_shown_for_people_and_as_json(
    imported: Operation, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = told(capsys, "operations", "get", imported.name)
    assert shown.startswith(f"{imported.name}: import ")
    assert "rows: 3 read, 2 accepted, 1 rejected" in shown
    assert "  WRONG_COLUMN_COUNT: 1" in shown
    document = json.loads(told(capsys, "operations", "get", imported.name, "--json"))
    assert document["counts"]["rows_rejected"] == 1


def operation(**values: object) -> Operation:
    counts = ImportCounts(rows_read=9, rows_rejected=2, rejected_by_reason={"A": 1, "B": 5})
    known = {"name": "operations/x", "kind": "import", "done": True, "state": "SUCCEEDED"}
    return Operation(**known | {"counts": counts} | values)  # type: ignore[arg-type]


def test_the_text_has_stages_prune_reasons_and_the_command_for_the_rest() -> None:
    lines = list(
        operation_lines(
            operation(
                stages=(StageTime("embed", 2, 512, 4.0),),
                prune=PruneResult(7, 0, 1, "TOO_MANY_REMOVALS", "say --max-removals"),
                errors_uri="reports/x/rejected.csv",
                rejections=(Rejection(3, "B", "sku", "v", "s", True),),
            )
        )
    )
    assert "embed: 512 in 2 tasks, 4.0 s of work, 128/s" in lines
    assert "prune: nothing removed: TOO_MANY_REMOVALS: say --max-removals" in lines
    assert lines.index("  B: 5") < lines.index("  A: 1")
    assert "  row 3: row rejected: B s sku 'v'" in lines
    assert "all rejections: shelflens operations errors operations/x -o rejected.csv" in lines


def test_the_text_of_a_running_import_says_how_far_it_is() -> None:
    lines = list(import_lines(operation(done=False, state="RUNNING", total_rows=100)))
    assert lines[0] == "rows: 9 of 100 read, 0 accepted, 2 rejected"


def test_hostile_values_do_not_reach_the_terminal() -> None:
    hostile = Rejection(1, "R", "f\x1b[2J", "\x1b]0;x\x07", "\x1b[31ms", True)
    lines = list(operation_lines(operation(rejections=(hostile,), display_name="\x1b[1m")))
    assert not any("\x1b" in line or "\x07" in line for line in lines)
    assert printable("ä☕\t") == "ä☕\ufffd"


def test_an_erasure_is_waited_for_and_counted(
    client: Client, imported: Operation, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = told(capsys, "erase", "shop/A 1", "--yes")
    assert "erased: 1 images, 2 stored objects; 3 stay: other products show them too" in shown
    with pytest.raises(NotFound):
        client.get_product("shop/A 1")
    document = json.loads(told(capsys, "erase", "shop/B", "--yes", "--json"))
    assert document["kind"] == "erase_content"
    assert document["erased"] == {"image_count": 1, "object_count": 2, "shared_count": 3}
    assert told(capsys, "erase", "shop/none", "--yes", code=3) == ""


def test_a_refusal_at_the_terminal_erases_nothing(
    server: MemoryServer,
    imported: Operation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert told(capsys, "erase", "shop/B", code=1) == ""
    assert "EraseContent" not in server.calls
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert "erased" in told(capsys, "erase", "shop/B")


def test_images_and_products_are_told_apart_by_the_hash() -> None:
    product = "catalogs/shop/products/a"
    assert content_name("shop/a") == product
    assert content_name(f"shop/a/{SHA}") == f"{product}/images/{SHA}"
    assert content_name(f"shop/{SHA}").endswith(f"products/{content_name('shop/' + SHA)[23:]}")
    assert content_name(f"{product}/images/{SHA}") == f"{product}/images/{SHA}"
    with pytest.raises(InvalidArgument):
        content_name("shop")


async def test_the_async_client_erases_and_reads_errors(
    client: Client, imported: Operation
) -> None:
    async with AsyncClient(client.target, timeout=10) as aio:
        pieces = [each async for each in aio.download_import_errors(imported.name)]
        assert b"".join(pieces) == b"".join(client.download_import_errors(imported.name))
        erased = await aio.wait_operation((await aio.erase("shop/B")).name)
        assert erased.erased == Erasure(1, 2, 3)
        left = [each async for each in aio.export_embeddings("shop")]
        assert [each.sku for each in left] == ["A 1"]
        assert left == list(client.export_embeddings("shop"))
        with pytest.raises(NotFound):
            [each async for each in aio.download_import_errors("none")]
