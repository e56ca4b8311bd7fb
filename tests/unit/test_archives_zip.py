"""Zip archives with tricks, damage and bombs: each is refused with its reason, in an import."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shelflens import Client
from shelflens.archives.names import resolve
from shelflens.errors import InvalidManifest
from shelflens.images import ImageProblem
from shelflens.values import Operation
from tests.unit.archive_files import jpeg, pack, raw_zip, shop_files, zip_bytes
from tests.unit.test_client_server import MemoryServer, serving

Patch = Callable[[int, bytearray], None]
FLAGS, METHOD, CRC, PACKED, SIZE = 8, 10, 16, 20, 24  # places in a central record
LOCAL = -2  # in a local header they stand two bytes earlier
ATTRIBUTES, PLACE = 38, 42
CSV = b"sku,image\nA,a.jpg\nB,b.jpg\n"
HONEST = (("products.csv", CSV), ("a.jpg", jpeg(1)), ("b.jpg", jpeg(2)))


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        yield client


def put(number: int, layout: str, place: int, value: int) -> Patch:
    """Writes `value` into the header of member `number`."""

    def patch(at: int, header: bytearray) -> None:
        if at == number:
            struct.pack_into(layout, header, place, value)

    return patch


def refusal(client: Client, server: MemoryServer, folder: Path, data: bytes) -> str:
    """Why the archive is refused as a whole, before the server is asked anything."""
    (folder / "a.zip").write_bytes(data)
    with pytest.raises(InvalidManifest) as caught:
        client.import_products("shop", folder / "a.zip")
    assert not server.calls
    assert len(caught.value.message) > 20
    return caught.value.reason


def imported(client: Client, folder: Path, data: bytes) -> Operation:
    """What became of the import of an archive that is not refused."""
    (folder / "a.zip").write_bytes(data)
    return client.import_products("shop", folder / "a.zip")


def rejections(done: Operation) -> list[tuple[int, str]]:
    return [(each.row, each.reason) for each in done.rejections]


def test_the_raw_archive_of_these_tests_is_one(client: Client, tmp_path: Path) -> None:
    data = raw_zip(*HONEST)
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    assert rejections(imported(client, tmp_path, data)) == []


@pytest.mark.parametrize(
    "name",
    ["/a.jpg", "../a.jpg", "x/../../a.jpg", "C:\\a.jpg", "x\\a.jpg", "a\x01.jpg", "a" * 2000],
)
def test_a_member_whose_name_plays_tricks_refuses_the_archive(
    client: Client, server: MemoryServer, tmp_path: Path, name: str
) -> None:
    data = raw_zip(*HONEST, (name, jpeg(3)))
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_MEMBER_NAME"


def test_a_nul_in_a_name_refuses_the_archive(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = raw_zip(*HONEST, ("c.jpg\0.png", jpeg(3)))
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_MEMBER_NAME"


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        (put(1, "<H", FLAGS, 0x1), "ARCHIVE_ENCRYPTED"),
        (put(1, "<H", FLAGS, 0x41), "ARCHIVE_ENCRYPTED"),
        (put(1, "<H", METHOD, 9), "ARCHIVE_COMPRESSION_UNSUPPORTED"),
        (put(1, "<H", METHOD, 99), "ARCHIVE_COMPRESSION_UNSUPPORTED"),
        (put(1, "<L", SIZE, 1 << 30), "ARCHIVE_DAMAGED"),
        (put(1, "<L", SIZE, 65), "ARCHIVE_DAMAGED"),
        (put(1, "<L", SIZE, 0xFFFFFFFF), "ARCHIVE_DAMAGED"),
        (put(1, "<L", PACKED, 1 << 20), "ARCHIVE_DAMAGED"),
        (put(2, "<L", PLACE, 0), "ARCHIVE_OVERLAP"),
        (put(1, "<L", PLACE, 1 << 20), "ARCHIVE_OVERLAP"),
        (put(1, "<L", 0, 0), "ARCHIVE_DAMAGED"),
        (put(1, "<H", 28, 60_000), "ARCHIVE_MEMBER_NAME"),
    ],
)
def test_a_directory_that_lies_refuses_the_archive(
    client: Client, server: MemoryServer, tmp_path: Path, patch: Patch, reason: str
) -> None:
    assert refusal(client, server, tmp_path, raw_zip(*HONEST, central=patch)) == reason


@pytest.mark.parametrize(
    "patch",
    [
        put(1, "<L", CRC + LOCAL, 7),
        put(1, "<H", METHOD + LOCAL, 8),
        put(1, "<L", SIZE + LOCAL, 7),
        put(1, "<L", 0, 0),
        put(1, "<H", 26, 4),
    ],
)
def test_headers_that_disagree_make_a_refused_image(
    client: Client, tmp_path: Path, patch: Patch
) -> None:
    done = imported(client, tmp_path, raw_zip(*HONEST, local=patch))
    assert rejections(done) == [(1, "IMAGE_UNREADABLE")]


def test_a_wrong_checksum_makes_a_refused_image(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = raw_zip(*HONEST).replace(jpeg(1), jpeg(1)[:-1] + b"!")
    assert rejections(imported(client, tmp_path, data)) == [(1, "IMAGE_UNREADABLE")]
    assert list(server.contents.values()) == [jpeg(2)]


@pytest.mark.parametrize("claimed", [100, 90_000])
def test_a_compressed_member_of_another_size_than_it_says_is_a_refused_image(
    client: Client, tmp_path: Path, claimed: int
) -> None:
    picture = jpeg(1, 4_000)
    data = bytearray(zip_bytes({"products.csv": CSV, "a.jpg": picture, "b.jpg": jpeg(2)}))
    honest, lie = struct.pack("<L", len(picture)), struct.pack("<L", claimed)
    assert data.count(honest) == 2
    done = imported(client, tmp_path, bytes(data.replace(honest, lie)))
    assert rejections(done) == [(1, "IMAGE_UNREADABLE")]


def test_damaged_compressed_data_is_a_refused_image(client: Client, tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"products.csv": CSV, "a.jpg": jpeg(1) * 50, "b.jpg": jpeg(2)}))
    place = data.index(b"a.jpg") + 10
    data[place : place + 20] = bytes(20)
    assert rejections(imported(client, tmp_path, bytes(data))) == [(1, "IMAGE_UNREADABLE")]


def test_a_damaged_manifest_refuses_the_archive(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = raw_zip(*HONEST).replace(b"A,a.jpg", b"X,a.jpg")
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_DAMAGED"


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95, 0.999])
def test_a_truncated_archive_is_refused(
    client: Client, server: MemoryServer, tmp_path: Path, share: float
) -> None:
    data = pack("zip", shop_files(50))
    cut = data[: int(len(data) * share)]
    assert refusal(client, server, tmp_path, cut) == "ARCHIVE_TRUNCATED"


def test_bytes_before_or_within_the_archive_are_refused(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = raw_zip(*HONEST)
    end = data.rindex(b"PK\x05\x06")
    assert refusal(client, server, tmp_path, data[:4] + data) == "ARCHIVE_DAMAGED"
    padded = data[:end] + bytes(4) + data[end:]
    assert refusal(client, server, tmp_path, padded) == "ARCHIVE_DAMAGED"


def test_an_archive_in_several_parts_is_refused(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = bytearray(raw_zip(*HONEST))
    data[data.rindex(b"PK\x05\x06") + 4] = 1
    assert refusal(client, server, tmp_path, bytes(data)) == "ARCHIVE_UNSUPPORTED"


@pytest.mark.parametrize("name", ["more.zip", "more.tar.gz", "x.rar", "products.csv.gz"])
def test_an_archive_in_an_archive_is_refused(
    client: Client, server: MemoryServer, tmp_path: Path, name: str
) -> None:
    data = raw_zip(*HONEST, (name, b"x"))
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_NESTED"


def test_an_archive_that_poses_as_an_image_is_a_refused_image(
    client: Client, tmp_path: Path
) -> None:
    inner = pack("zip", {"a.jpg": jpeg()})
    data = raw_zip(("products.csv", CSV), ("a.jpg", inner), ("b.jpg", jpeg(2)))
    assert rejections(imported(client, tmp_path, data)) == [(1, "IMAGE_FORMAT_UNSUPPORTED")]


@pytest.mark.parametrize("second", ["a.jpg", "./a.jpg", "x/..a.jpg/../../a.jpg"])
def test_a_name_that_comes_twice_refuses_the_archive(
    client: Client, server: MemoryServer, tmp_path: Path, second: str
) -> None:
    reason = refusal(client, server, tmp_path, raw_zip(*HONEST, (second, jpeg(3))))
    assert reason in ("ARCHIVE_DUPLICATE_MEMBER", "ARCHIVE_MEMBER_NAME")


def test_a_bomb_is_refused_before_it_is_unpacked(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = zip_bytes({"products.csv": CSV, "a.jpg": bytes(19 << 20)})
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_RATIO"


def test_links_are_left_out_and_said(client: Client, tmp_path: Path) -> None:
    link = put(1, "<L", ATTRIBUTES, 0o120777 << 16)
    done = imported(client, tmp_path, raw_zip(*HONEST, central=link))
    assert rejections(done) == [(1, "IMAGE_NOT_A_FILE")]


def test_an_office_file_is_refused_with_what_to_do(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    data = raw_zip(("[Content_Types].xml", b"<x/>"), ("xl/workbook.xml", b"<x/>"))
    assert refusal(client, server, tmp_path, data) == "ARCHIVE_UNSUPPORTED"


def test_large_archives_with_64_bit_fields_are_read(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 50)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    data = zip_bytes(dict(HONEST))
    assert b"PK\x06\x06" in data
    assert rejections(imported(client, tmp_path, data)) == []


def test_archives_that_were_written_into_a_pipe_are_read(client: Client, tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError

        def tell(self) -> int:
            raise OSError

    file = Pipe()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in HONEST:
            archive.writestr(name, data)
    assert b"PK\x07\x08" in file.getvalue()  # sizes follow the data
    assert rejections(imported(client, tmp_path, file.getvalue())) == []


@pytest.mark.parametrize(
    ("folder", "reference", "name"),
    [
        ("", "a.jpg", "a.jpg"),
        ("shop", "img/a.jpg", "shop/img/a.jpg"),
        ("shop/list", "../img/./a.jpg", "shop/img/a.jpg"),
    ],
)
def test_references_start_at_the_manifests_folder(folder: str, reference: str, name: str) -> None:
    assert resolve(folder, reference) == name


@pytest.mark.parametrize("reference", ["/a.jpg", "../../a.jpg", "C:/a.jpg", ".."])
def test_references_do_not_leave_the_archive(reference: str) -> None:
    with pytest.raises(ImageProblem, match=r"relative|outside"):
        resolve("shop" if reference != ".." else "", reference)


def test_a_file_that_is_zip_and_tar_is_taken_for_what_it_begins_with(
    client: Client, tmp_path: Path
) -> None:
    assert tarfile.is_tarfile(io.BytesIO(pack("tar", {"a.jpg": jpeg()})))
    done = imported(client, tmp_path, pack("tar", shop_files(2)))  # named a.zip
    assert done.counts.rows_accepted == 2
