"""References beside files: addresses and objects that the server fetches, and dry runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shelflens import Client
from shelflens.errors import NotFound
from shelflens.images import ImageProblem, image_format
from shelflens.importing.references import MAX_URL, remote_entry
from tests.unit.archive_files import jpeg, pack
from tests.unit.test_client_server import MemoryServer, serving

HEADS = {
    "jpeg": b"\xff\xd8\xff\xe0",
    "png": b"\x89PNG\r\n\x1a\n",
    "webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    "avif": b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00mif1",
}


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        yield client


def sent_images(server: MemoryServer) -> list[dict[str, Any]]:
    *_, manifest = server.manifests.values()
    return [entry for line in manifest.splitlines() for entry in json.loads(line)["images"]]


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/a.jpg",
        "http://shop.example:8080/a.jpg?width=100#x",
        "HTTPS://Shop.Example/a b.jpg",
        "https://[2001:db8::1]/a.jpg",
        "https://käse.example/öl.jpg",
    ],
)
def test_an_address_is_passed_on_as_it_is(url: str) -> None:
    assert remote_entry(url) == {"source": url, "url": url}


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https:///a.jpg",
        "http://:80/a.jpg",
        "https://shop.example:port/a.jpg",
        "https://[::1/a.jpg",
        "https://shop.example/a\n.jpg",
        "ftp://shop.example/a.jpg",
        "file:///etc/passwd",
        "s3://bucket/a.jpg",
        "https://shop.example/" + "a" * MAX_URL,
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ImageProblem) as caught:
        remote_entry(url)
    assert caught.value.reason == "IMAGE_URL_INVALID"


@pytest.mark.parametrize("key", ["a.jpg", "2026/10/a_b-c.jpg", "..a/b..", "a" * 255])
def test_an_object_is_passed_on_by_its_key(key: str) -> None:
    reference = f"object:{key}"
    assert remote_entry(reference) == {"source": reference, "object": key}


@pytest.mark.parametrize(
    "key",
    ["", "/a.jpg", "a//b", "a/", "../a", "a/./b", "a b.jpg", "ä.jpg", "a" * 256, "a/" * 300 + "a"],
)
def test_an_object_key_that_no_store_accepts_is_refused(key: str) -> None:
    with pytest.raises(ImageProblem) as caught:
        remote_entry(f"object:{key}")
    assert caught.value.reason == "OBJECT_KEY_INVALID"


@pytest.mark.parametrize("path", ["a.jpg", "https/a.jpg", "x:y.jpg", "objects/a.jpg"])
def test_everything_else_is_a_path(path: str) -> None:
    assert remote_entry(path) is None


@pytest.mark.parametrize("kind", ["csv", "zip", "tar"])
def test_files_addresses_and_objects_may_stand_in_one_row(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    row = b"sku,image\nA,a.jpg|https://shop.example/b.jpg|object:new/c.jpg|gopher://x/d.jpg\n"
    files = {"m.csv": row, "a.jpg": jpeg()}
    for name, data in files.items() if kind == "csv" else {"m.zip": pack(kind, files)}.items():
        (tmp_path / name).write_bytes(data)
    client.import_products("shop", tmp_path / ("m.csv" if kind == "csv" else "m.zip"))
    file, url, stored, bad = sent_images(server)
    assert set(file) == {"source", "sha256"}
    assert url == {"source": "https://shop.example/b.jpg", "url": "https://shop.example/b.jpg"}
    assert stored == {"source": "object:new/c.jpg", "object": "new/c.jpg"}
    assert bad["error"] == "IMAGE_URL_INVALID"
    assert list(server.contents.values()) == [jpeg()]


@pytest.mark.parametrize("kind", HEADS)
def test_accepted_formats_are_told_by_their_first_bytes(kind: str) -> None:
    assert image_format(HEADS[kind] + bytes(64)) == kind
    assert image_format(HEADS[kind][:3]) in ("", "jpeg")


@pytest.mark.parametrize(
    "head",
    [b"", b"GIF89a", b"<svg", b"RIFF\x00\x00\x00\x00WAVE", b"\0\0\0\x18ftypheic\0\0\0\0mif1"],
)
def test_other_formats_are_told_too(head: bytes) -> None:
    assert image_format(head.ljust(64, b"\0")) == ""


def test_a_dry_run_looks_at_files_and_sends_none(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    (tmp_path / "m.csv").write_text("sku,image\nA,a.jpg\nB,b.jpg\nC,c.jpg\n")
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "b.jpg").write_bytes(b"GIF89a")
    client.create_catalog("shop")
    client.import_products("shop", tmp_path / "m.csv", validate_only=True)
    good, wrong, missing = sent_images(server)
    assert set(good) == {"source", "sha256"}
    assert (wrong["error"], missing["error"]) == ("IMAGE_FORMAT_UNSUPPORTED", "IMAGE_NOT_FOUND")
    assert {"FindMissingContents", "UploadContents"} & server.calls.keys() == set()


def test_a_dry_run_makes_no_catalog(client: Client, server: MemoryServer, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("sku,image\nA,a.jpg\n")
    with pytest.raises(NotFound):
        client.import_products("shop", tmp_path / "m.csv", validate_only=True)
    assert server.catalogs == {}
