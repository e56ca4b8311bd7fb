"""Tar archives with tricks, damage and bombs: each is refused with its reason, in an import."""

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from shelflens import Client
from shelflens.errors import InvalidManifest
from tests.unit.archive_files import (
    PACKERS,
    jpeg,
    member,
    pack,
    shop_files,
    tar_bytes,
    tar_of,
)
from tests.unit.test_client_server import MemoryServer, serving

BLOCK = 512


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        yield client


def refusal(client: Client, server: MemoryServer, folder: Path, data: bytes) -> str:
    """Why the archive is refused as a whole."""
    (folder / "a.tar").write_bytes(data)
    with pytest.raises(InvalidManifest) as caught:
        client.import_products("shop", folder / "a.tar")
    assert "ImportProducts" not in server.calls
    assert len(caught.value.message) > 20
    return caught.value.reason


def with_flag(name: str, flag: bytes, data: bytes) -> bytes:
    """A member of type `flag`, with bytes."""
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), flag
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % BLOCK)


def pax_record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE`; the length counts itself."""
    body = b" " + key + b"=" + value + b"\n"
    size = len(body) + len(str(len(body) + 2))
    return str(size).encode() + body


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../a.jpg",
        "img/../../a.jpg",
        "img/..",
        "C:/a.jpg",
        "c:a.jpg",
        "img\\..\\a.jpg",
        "a\x01.jpg",
        "a\n.jpg",
        "a" * 2_000,
    ],
)
def test_a_member_whose_name_plays_tricks_refuses_the_archive(
    client: Client, server: MemoryServer, tmp_path: Path, name: str
) -> None:
    data = tar_bytes(shop_files(1) | {name: jpeg(9)}, tarfile.GNU_FORMAT)
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_MEMBER_NAME"


def test_a_nul_in_an_extended_name_refuses_the_archive(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    header = with_flag("x", b"x", pax_record(b"path", b"a.jpg\0.png"))
    data = header + tar_bytes({"b.jpg": jpeg()})
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_MEMBER_NAME"


@pytest.mark.parametrize("name", ["more.zip", "more.tar.gz", "x.7z", "products.csv.gz", "x.bin"])
def test_an_archive_in_an_archive_is_refused(
    client: Client, server: MemoryServer, tmp_path: Path, name: str
) -> None:
    inner = pack("zip", {"a.jpg": jpeg()})
    data = tar_bytes(shop_files(1) | {name: inner})
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_NESTED"


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_a_truncated_archive_starts_no_import(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str, share: float
) -> None:
    data = pack(kind, shop_files(3) | {f"{n}.jpg": jpeg(n, 900) for n in range(40)})
    cut = data[: int(len(data) * share)]
    assert refusal(client, server, tmp_path, cut) == "ARCHIVE_TRUNCATED"


def test_an_archive_without_its_end_mark_counts_as_truncated(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = tar_bytes(shop_files(1)).rstrip(b"\0")
    data += bytes(-len(data) % BLOCK)
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_TRUNCATED"


def test_bytes_after_the_end_are_refused_and_zeros_are_not(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = tar_bytes(shop_files(1))
    assert refusal(client, server, tmp_path, data + data) == "ARCHIVE_DAMAGED"
    (tmp_path / "a.tar").write_bytes(data + bytes(1 << 20))
    assert client.import_products("shop", tmp_path / "a.tar").counts.rows_accepted == 1


def test_a_member_that_claims_more_bytes_than_follow_is_refused(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    info = tarfile.TarInfo("a.jpg")
    info.size = 1 << 40
    data = info.tobuf(tarfile.GNU_FORMAT) + jpeg()
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_TRUNCATED"


@pytest.mark.parametrize(
    "bad",
    [
        with_flag("x", b"x", b"99 path=a\n"),
        with_flag("x", b"x", b"0 path=a\n"),
        with_flag("x", b"x", b"nonsense"),
        with_flag("x", b"x", pax_record(b"size", b"-5")),
        with_flag("x", b"x", pax_record(b"size", b"9" * 40)),
        with_flag("x", b"g", pax_record(b"path", b"every.jpg")),
        with_flag("x", b"x", bytes(2 << 20)),
        with_flag("x", b"L", bytes(2 << 20)),
    ],
)
def test_extended_headers_that_lie_are_refused(
    client: Client, server: MemoryServer, tmp_path: Path, bad: bytes
) -> None:
    data = bad + tar_bytes({"b.jpg": jpeg()})
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_DAMAGED"


def test_a_header_with_a_wrong_checksum_is_no_end_of_the_archive(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = bytearray(tar_bytes({"a.jpg": jpeg(1), "b.jpg": jpeg(2)}, tarfile.USTAR_FORMAT))
    data[2 * BLOCK] ^= 1
    assert refusal(client, server, tmp_path, bytes(data)) == "ARCHIVE_DAMAGED"


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
def test_damaged_compressed_data_is_refused(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    data = bytearray(pack(kind, {f"{n}.jpg": jpeg(n, 900) for n in range(999)}))
    place = len(data) - 2_000
    data[place : place + 64] = b"\xa5" * 64
    assert refusal(client, server, tmp_path, bytes(data)) == "ARCHIVE_DAMAGED"


def test_members_stored_with_holes_are_refused(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    old = tar_of(member("a.jpg", tarfile.GNUTYPE_SPARSE))
    assert refusal(client, server, tmp_path, old) == "ARCHIVE_SPARSE"
    records = pax_record(b"GNU.sparse.major", b"1") + pax_record(b"GNU.sparse.realsize", b"9" * 15)
    new = with_flag("x", b"x", records) + tar_bytes({"a.jpg": jpeg()})
    assert refusal(client, server, tmp_path, new) == "ARCHIVE_SPARSE"


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.zst", "tar.bz2"])
def test_a_bomb_is_refused_long_before_it_is_unpacked(
    client: Client, server: MemoryServer, tmp_path: Path, kind: str
) -> None:
    data = pack(kind, {"a.bin": bytes(40 << 20)})
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_RATIO"


def test_zeros_after_the_end_are_a_bomb_too(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = gzip.compress(tar_bytes(shop_files(1)) + bytes(40 << 20))
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_RATIO"


def test_compression_that_takes_too_much_memory_is_refused(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = packer.compress(tar_bytes(shop_files(1))) + packer.flush()
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_UNSUPPORTED"


@pytest.mark.parametrize(
    "data", [gzip.compress(b"sku,image\nA,a.jpg\n"), b"7z\xbc\xaf\x27\x1c" * 99]
)
def test_what_is_no_tar_inside_is_refused_before_the_server_is_asked(
    client: Client, server: MemoryServer, tmp_path: Path, data: bytes
) -> None:
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_UNSUPPORTED"
    assert not server.calls


@pytest.mark.parametrize(
    "flag",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"?"],
)
def test_links_and_devices_are_left_out_and_said(
    client: Client, server: MemoryServer, tmp_path: Path, flag: bytes
) -> None:
    link = tar_of(member("img/0.jpg", flag, "/etc/passwd"))[:BLOCK]
    files = shop_files(2)
    del files["img/0.jpg"]
    (tmp_path / "a.tar").write_bytes(link + tar_bytes(files))
    notes: list[str] = []
    done = client.import_products("shop", tmp_path / "a.tar", on_note=notes.append)
    assert [(each.row, each.reason) for each in done.rejections] == [(1, "IMAGE_NOT_A_FILE")]
    assert "1 links, devices or pipes of the archive were left out" in notes
    assert len(server.contents) == 1
