"""Importing archives from the client's side: what is sent, how often, and what is said."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shelflens import Client
from shelflens.errors import Cancelled, InvalidManifest
from shelflens.importing.progress import Progress
from shelflens.importing.run import Import
from tests.unit.archive_files import KINDS, PACKERS, jpeg, pack, shop_files, tar_bytes
from tests.unit.test_client_server import MemoryServer, serving


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        yield client


def sent_lines(server: MemoryServer) -> list[dict[str, Any]]:
    *_, manifest = server.manifests.values()
    return [json.loads(line) for line in manifest.splitlines()]


def write(folder: Path, kind: str, files: dict[str, bytes]) -> Path:
    """An archive whose name says nothing about its kind."""
    path = folder / "catalogue.bin"
    path.write_bytes(pack(kind, files))
    return path


def images_last(files: dict[str, bytes]) -> dict[str, bytes]:
    return files


def images_first(files: dict[str, bytes]) -> dict[str, bytes]:
    return dict(reversed(files.items()))


@pytest.mark.parametrize("order", [images_last, images_first])
@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_of_any_kind_brings_its_rows_and_images(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str, order: Any
) -> None:
    notes: list[str] = []
    source = write(tmp_path, kind, order(shop_files(5, "shop/")))
    done = client.import_products("shop", source, on_note=notes.append)
    assert (done.counts.rows_accepted, done.rejections) == (5, ())
    assert done.display_name == "catalogue.bin"
    assert sorted(server.contents.values()) == sorted(jpeg(number) for number in range(5))
    assert [line["images"][0]["source"] for line in sent_lines(server)] == [
        f"img/{number}.jpg" for number in range(5)
    ]
    assert "manifest: shop/products.csv" in notes


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_import_sends_no_image(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    source = write(tmp_path, kind, images_first(shop_files()))
    client.import_products("shop", source)
    client.import_products("shop", source)
    assert server.calls["UploadContents"] == 1
    assert server.calls["ImportProducts"] == 2


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_images_that_no_row_names_are_not_sent_and_said(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    files = shop_files(2) | {"img/8.jpg": jpeg(8), "img/9": jpeg(9), "read.me": b"text"}
    notes: list[str] = []
    client.import_products("shop", write(tmp_path, kind, files), on_note=notes.append)
    assert len(server.contents) == 2
    unused = 1 if kind == "zip" else 2  # only a tar archive is looked into as it comes by
    assert f"{unused} images of the archive are named by no row" in notes
    assert f"{3 - unused} other files of the archive were left out" in notes


def test_unused_images_before_the_manifest_are_sent_and_said(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    files = images_first(shop_files(2) | {"img/9.jpg": jpeg(9)})
    notes: list[str] = []
    client.import_products("shop", write(tmp_path, "tar", files), on_note=notes.append)
    assert len(server.contents) == 3
    assert "1 images of the archive are named by no row" in notes


@pytest.mark.parametrize("around", ["", "everything/"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_without_a_manifest_folders_are_products(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str, around: str
) -> None:
    names = ["A/1.jpg", "A/in/2.JPG", "B-x/1.png", "B/1.webp", ".hidden/x.jpg", "A/notes.pdf"]
    files = {around + name: jpeg(number) for number, name in enumerate(names)}
    client.import_products("shop", write(tmp_path, kind, files))
    skus = [(line["fields"]["sku"], len(line["images"])) for line in sent_lines(server)]
    expected = {"A": 2, "B-x": 1, "B": 1}
    if kind != "zip":
        expected["A"] = 3  # told by content: the .pdf begins like a JPEG
    assert dict(skus) == expected
    assert len(skus) == 3


def test_images_beside_folders_are_products_of_their_own(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    files = {"A.jpg": jpeg(1), "B/1.jpg": jpeg(2), "C.png": jpeg(3)}
    client.import_products("shop", write(tmp_path, "zip", files))
    assert [line["fields"]["sku"] for line in sent_lines(server)] == ["A", "B", "C"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_bad_members_are_reported_on_the_rows_that_name_them(
    client: Client, tmp_path: Path, kind: str
) -> None:
    names = ["none.jpg", "gif.jpg", "empty.jpg", "huge.jpg", "../../x.jpg", "/a.jpg", "fine.jpg"]
    rows = "".join(f"S{number},{name}\n" for number, name in enumerate(names))
    files = {
        "m/list.csv": f"sku,image\n{rows}".encode(),
        "m/gif.jpg": b"GIF89a" + bytes(60),
        "m/empty.jpg": b"",
        "m/huge.jpg": jpeg(1, (20 << 20) + 1),
        "m/fine.jpg": jpeg(2),
    }
    done = client.import_products("shop", write(tmp_path, kind, files))
    assert [(each.row, each.reason) for each in done.rejections] == [
        (1, "IMAGE_NOT_FOUND"),
        (2, "IMAGE_FORMAT_UNSUPPORTED"),
        (3, "IMAGE_EMPTY"),
        (4, "IMAGE_TOO_LARGE"),
        (5, "IMAGE_OUTSIDE_ROOT"),
        (6, "IMAGE_OUTSIDE_ROOT"),
    ]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_the_server_refuses_is_marked_on_its_rows(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    server.refuse[jpeg(1)] = "IMAGE_TOO_STRANGE"
    client.import_products("shop", write(tmp_path, kind, images_first(shop_files(3))))
    entries = [line["images"][0] for line in sent_lines(server)]
    assert entries[1] == {
        "source": "img/1.jpg",
        "error": "IMAGE_TOO_STRANGE",
        "message": "refused",
    }
    assert all(set(entries[at]) == {"source", "sha256"} for at in (0, 2))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_the_manifest_may_lie_beside_an_archive_of_images(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    files = shop_files(3)
    (tmp_path / "m.csv").write_bytes(files.pop("products.csv"))
    images = write(tmp_path, kind, files | {"unused.jpg": jpeg(9)})
    done = client.import_products("shop", tmp_path / "m.csv", root=images)
    assert (done.counts.rows_accepted, len(server.contents)) == (3, 3)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_references_may_start_at_another_folder_of_the_archive(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    files = {"m/products.csv": b"sku,image\nA,1.jpg\n", "media/1.jpg": jpeg(1)}
    done = client.import_products("shop", write(tmp_path, kind, files), root="media")
    assert (done.rejections, len(server.contents)) == ((), 1)


def test_names_that_differ_in_unicode_form_only_are_the_same(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    files = {
        "products.csv": "sku,image\nA,k\u00e4se.jpg\nB,o\u0308l.jpg\nC,KLEIN.jpg\n".encode(),
        "ka\u0308se.jpg": jpeg(1),
        "o\u0308l.jpg": jpeg(2),
        "\u00f6l.jpg": jpeg(3),
        "klein.jpg": jpeg(4),
    }
    done = client.import_products("shop", write(tmp_path, "tar", files))
    assert [(each.row, each.reason) for each in done.rejections] == [(3, "IMAGE_NOT_FOUND")]
    assert jpeg(1) in server.contents.values()
    assert jpeg(2) in server.contents.values()


def test_a_tar_member_that_comes_twice_is_refused_unless_it_is_the_same(
    client: Client, tmp_path: Path
) -> None:
    first = tar_bytes(shop_files(3)).rstrip(b"\0")
    first += bytes(-len(first) % 512)
    again = tar_bytes({"img/0.jpg": jpeg(0), "img/1.jpg": jpeg(7)})
    (tmp_path / "a.tar").write_bytes(first + again)
    done = client.import_products("shop", tmp_path / "a.tar")
    assert [(each.row, each.reason) for each in done.rejections] == [(2, "IMAGE_AMBIGUOUS")]


@pytest.mark.parametrize("kind", PACKERS)
def test_a_tar_archive_may_come_through_a_pipe(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    data = pack(kind, shop_files())
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True)
    writer.start()
    done = client.import_products("shop", tmp_path / "pipe")
    writer.join(10)
    assert (done.counts.rows_accepted, len(server.contents)) == (5, 5)


@pytest.mark.parametrize("data", [pack("zip", shop_files()), b"sku,image\nA,a.jpg\n"])
def test_nothing_else_comes_through_a_pipe(client: Client, tmp_path: Path, data: bytes) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True)
    writer.start()
    with pytest.raises(InvalidManifest, match="file"):
        client.import_products("shop", tmp_path / "pipe")
    writer.join(10)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_dry_run_sends_no_image_and_finds_the_same(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    source = write(tmp_path, kind, images_first(shop_files(3)))
    client.create_catalog("shop")
    client.import_products("shop", source, validate_only=True)
    dry = sent_lines(server)
    assert (server.contents, "UploadContents" in server.calls) == ({}, False)
    client.import_products("shop", source)
    assert sent_lines(server) == dry


def test_a_stopped_archive_starts_no_import(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    files = images_first(shop_files(1)) | {f"{n}.jpg": jpeg(n, 50_000) for n in range(600)}
    task = Import(
        client,
        "shop",
        write(tmp_path, "tar", files),
        on_progress=lambda _: task.stop(),
        on_note=lambda _: None,
    )
    with pytest.raises(Cancelled):
        task.upload_and_start()
    assert "ImportProducts" not in server.calls
    assert 0 < len(server.contents) < 600


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_progress_never_goes_back(client: Client, tmp_path: Path, kind: str) -> None:
    heard: list[Progress] = []
    source = write(tmp_path, kind, images_first(shop_files(700)))
    client.import_products("shop", source, on_progress=heard.append)
    upload = [each for each in heard if each.phase == "upload"]
    shares = [each.fraction or 0.0 for each in upload]
    assert shares == sorted(shares)
    assert (shares[-1], upload[-1].rows, upload[-1].images) == (1.0, 700, 700)
    assert upload[-1].uploaded_images == 700


def test_temporary_files_are_removed_whatever_happens(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = tmp_path / "space"
    space.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(space))
    for kind, data in (("zip", 1.0), ("tar", 1.0), ("zip", 0.5), ("tar", 0.5)):
        whole = pack(kind, shop_files(9))
        (tmp_path / "a").write_bytes(whole[: int(len(whole) * data)])
        if data == 1.0:
            client.import_products("shop", tmp_path / "a")
        else:
            with pytest.raises(InvalidManifest):
                client.import_products("shop", tmp_path / "a")
        assert list(space.iterdir()) == []
