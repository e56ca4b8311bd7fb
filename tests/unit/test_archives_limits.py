"""Which member is the manifest, how much of an archive is read, and in how much memory."""

import random
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from shelflens import Client
from shelflens.archives.kinds import is_nested, kind_of
from shelflens.archives.manifest_choice import ManifestChoice
from shelflens.archives.refusal import ArchiveLimits
from shelflens.errors import InvalidArgument, InvalidManifest
from shelflens.images import ImageProblem
from shelflens.importing.contents import ContentUploader
from shelflens.importing.sources import Source, open_source
from shelflens.manifests import open_manifest
from tests.unit.archive_files import KINDS, jpeg, member, pack, raw_zip, shop_files, tar_of
from tests.unit.test_client_server import MemoryServer, serving

MIB = 1 << 20


def chosen(names: list[str], asked: str | None = None) -> str | None:
    choice = ManifestChoice(asked)
    for name in names:
        choice.offer(name)
    return choice.decide()


def opened(path: Path, limits: ArchiveLimits | None = None) -> Source:
    return open_source(path, open_manifest, threading.Event(), limits=limits)


@pytest.mark.parametrize(
    ("names", "manifest"),
    [
        (["a.jpg", "read.me"], None),
        (["a.jpg", "x/any.csv"], "x/any.csv"),
        (["old.csv", "products.csv", "new.csv"], "products.csv"),
        (["x/products.csv", "Feed.TXT", "y/catalog.jsonl"], "Feed.TXT"),
        (["a/b/products.csv", "a/manifest.parquet"], "a/manifest.parquet"),
        (["list.tsv", "meta.json", "more.json", "notes.txt"], "list.tsv"),
        (["only.json", "notes.txt"], "only.json"),
        (["__MACOSX/._products.csv", ".x/products.csv", "list.csv"], "list.csv"),
    ],
)
def test_the_manifest_is_told_by_name_and_place(names: list[str], manifest: str | None) -> None:
    assert chosen(names) == manifest
    assert chosen(names[::-1]) == manifest


@pytest.mark.parametrize(
    "names", [["a.csv", "b.csv"], ["products.csv", "feed.csv"], ["x/feed.csv", "y/feed.csv"]]
)
def test_several_manifests_are_an_error_that_names_them(names: list[str]) -> None:
    with pytest.raises(InvalidManifest) as caught:
        chosen(names)
    assert caught.value.reason == "ARCHIVE_MANIFEST_AMBIGUOUS"
    assert all(name in caught.value.message for name in names)
    assert f"--manifest {names[0]}" in caught.value.message
    assert chosen(names, names[1]) == names[1]


def test_a_manifest_that_was_asked_for_must_be_there() -> None:
    with pytest.raises(InvalidManifest, match=r"no member 'b\.csv'"):
        chosen(["a.csv", "x/b.csv"], "b.csv")


def test_a_sheet_in_place_of_a_manifest_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(InvalidManifest, match="as CSV"):
        chosen(["a.jpg", "products.xlsx"])
    assert chosen(["products.xlsx", "list.csv"]) == "list.csv"


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        yield client


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_the_users_choice_among_manifests_is_imported(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    files = shop_files(3) | {"sale/feed.csv": b"sku,image\nX,../img/2.jpg\n"}
    (tmp_path / "a").write_bytes(pack(kind, files))
    done = client.import_products("shop", tmp_path / "a", member="sale/feed.csv")
    assert (done.counts.rows_accepted, done.rejections) == (1, ())
    assert jpeg(2) in server.contents.values()
    (tmp_path / "m.csv").write_bytes(files["products.csv"])
    with pytest.raises(InvalidArgument, match="no place in the archive"):
        client.import_products("shop", tmp_path / "a", member="../a.csv")
    with pytest.raises(InvalidArgument, match="no place in the archive"):
        client.import_products("shop", tmp_path / "a", root="/home")
    with pytest.raises(InvalidArgument, match="no archive"):
        client.import_products("shop", tmp_path / "m.csv", member="x.csv")


def test_a_better_manifest_behind_left_out_images_is_an_error_and_no_loss(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    files = {"x/products.csv": b"sku,image\nA,1.jpg\n", "x/1.jpg": jpeg(1), "2.jpg": jpeg(2)}
    late = files | {"products.csv": b"sku,image\nB,2.jpg\n"}
    (tmp_path / "a").write_bytes(pack("tar", late))
    with pytest.raises(InvalidManifest, match="--manifest products"):
        client.import_products("shop", tmp_path / "a")
    done = client.import_products("shop", tmp_path / "a", member="products.csv")
    assert done.rejections == ()


def test_a_wrong_manifest_ends_a_tar_archive_before_its_images_are_sent(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    files = {"products.csv": b"name,price\nA,1\n"} | {f"{n}.jpg": jpeg(n) for n in range(9)}
    (tmp_path / "a").write_bytes(pack("tar.zst", files))
    with pytest.raises(InvalidManifest) as caught:
        client.import_products("shop", tmp_path / "a")
    assert caught.value.reason == "SKU_COLUMN_MISSING"
    assert not server.contents


def read_all(path: Path, limits: ArchiveLimits | None) -> None:
    """All that an import reads of an archive; no server is asked."""
    with closing(opened(path, limits)) as source, Client("127.0.0.1:1") as nobody:
        source.prepare()
        contents = ContentUploader(nobody, "shop", threading.Event(), validate_only=True)
        for _ in source.send_ahead(contents):
            pass
        for row in source.rows:
            for reference in row.images or ():
                with suppress(ImageProblem):
                    source.images.find(reference)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ArchiveLimits(members=9), "ARCHIVE_TOO_MANY_MEMBERS"),
        (ArchiveLimits(expanded_bytes=500), "ARCHIVE_TOO_LARGE"),
        (ArchiveLimits(ratio=1, ratio_from=300), "ARCHIVE_RATIO"),
    ],
)
def test_limits_are_kept(tmp_path: Path, kind: str, limits: ArchiveLimits, reason: str) -> None:
    files = {f"{number}.jpg": b"\xff\xd8\xff" + bytes(4_000) for number in range(10)}
    (tmp_path / "a").write_bytes(pack(kind, files))
    with pytest.raises(InvalidManifest) as caught:
        read_all(tmp_path / "a", limits)
    assert caught.value.reason == reason


@pytest.mark.parametrize("kind", KINDS)
def test_damage_anywhere_is_refused_with_a_reason_or_does_no_harm(
    tmp_path: Path, kind: str
) -> None:
    rng = random.Random(kind)
    whole = pack(kind, shop_files(6) | {"x" * 150 + ".jpg": jpeg(7)})
    outcomes = set()
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 4))):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
        (tmp_path / "a").write_bytes(data)
        try:
            read_all(tmp_path / "a", None)
            outcomes.add("")
        except InvalidManifest as error:
            outcomes.add(error.reason)
    assert len(outcomes) > 2
    assert all(reason.isupper() for reason in outcomes - {""})


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_without_anything_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(pack(kind, {"x/read.me": b"text"}))
    with pytest.raises(InvalidManifest) as caught:
        read_all(tmp_path / "a", None)
    assert caught.value.reason == "NO_IMAGES"


def test_kinds_are_told_by_content() -> None:
    assert kind_of(b"sku,image\nA,a.jpg\n") == kind_of(b"") == kind_of(bytes(512)) == ""
    assert kind_of(b"BZhello") == ""
    assert kind_of(b"\x51\x2a\x4d\x18") == "zstd"
    assert kind_of(tar_of(member("a"))[:512]) == "tar"
    assert not is_nested("sheet.xlsx", b"PK\x03\x04")
    assert is_nested("a.jpg", b"PK\x03\x04")


class Forgetful(MemoryServer):
    """Counts what is sent, and keeps none of it."""

    received = 0

    def store_content(self, sha256: str, data: bytes, answer: Any) -> None:
        self.received += len(data)
        answer.stored_count += 1


def _write_tar(file: BinaryIO, count: int, size: int) -> None:
    """Images of `size` bytes and then the manifest, written as they are made."""
    rows = []
    for number in range(count):
        file.write(_piece(f"{number}.jpg", jpeg(number, 64) + bytes(size - 64)))
        rows.append(f"S{number},{number}.jpg\n")
    file.write(_piece("products.csv", "".join(["sku,image\n", *rows]).encode()) + bytes(1024))


def _piece(name: str, data: bytes) -> bytes:
    info = member(name)
    info.size = len(data)
    return info.tobuf() + data + bytes(-len(data) % 512)


def test_a_large_tar_archive_passes_through_little_memory(tmp_path: Path) -> None:
    count, size = 2_000, 100 << 10
    with (tmp_path / "a.tar").open("wb") as file:
        _write_tar(file, count, size)
    server = Forgetful()
    with serving(server) as target, Client(target, timeout=30) as client:
        tracemalloc.start()
        try:
            client.import_products("shop", tmp_path / "a.tar")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert server.received == count * size
    assert peak < 80 * MIB


def test_a_directory_of_many_members_is_kept_on_disk(tmp_path: Path) -> None:
    few, many = (_peak_of_directory(tmp_path / "a.zip", count) for count in (16_000, 24_000))
    assert many < few + MIB


def _peak_of_directory(path: Path, count: int) -> int:
    """Bytes of memory while an archive of so many products is read."""
    path.write_bytes(raw_zip(*((f"S{at}/{at}.jpg", b"x") for at in range(count))))
    tracemalloc.start()
    try:
        with closing(opened(path)) as source:
            source.prepare()
            assert sum(1 for _ in source.rows) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
