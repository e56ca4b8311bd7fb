"""Archives for tests: honest ones of every kind, and the bytes to make dishonest ones from."""

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping

import zstandard

Files = Mapping[str, bytes]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
KINDS = ("zip", *PACKERS)


def jpeg(number: int = 0, size: int = 64) -> bytes:
    """Bytes that begin like a JPEG and do not compress, others for each number."""
    return b"\xff\xd8\xff\xe0" + random.Random(number).randbytes(size - 4)


def shop_files(count: int = 5, folder: str = "") -> dict[str, bytes]:
    """`products.csv` and, after it, one picture a row."""
    rows = [f"S{number},Title {number},img/{number}.jpg" for number in range(count)]
    files = {f"{folder}products.csv": "\n".join(["sku,title,image", *rows, ""]).encode()}
    return files | {f"{folder}img/{number}.jpg": jpeg(number) for number in range(count)}


def pack(kind: str, files: Files) -> bytes:
    """An archive of the members in their order."""
    return zip_bytes(files) if kind == "zip" else PACKERS[kind](tar_bytes(files))


def zip_bytes(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive as Python writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tar_bytes(files: Files, style: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive as Python writes it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=style) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def tar_of(*members: tarfile.TarInfo) -> bytes:
    """A tar archive of members without bytes."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for member in members:
            archive.addfile(member)
    return file.getvalue()


def member(name: str, flag: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """A member of any type."""
    made = tarfile.TarInfo(name)
    made.type = flag
    made.linkname = target
    return made


def raw_zip(
    *members: tuple[str, bytes],
    central: Callable[[int, bytearray], None] = lambda number, record: None,
    local: Callable[[int, bytearray], None] = lambda number, header: None,
) -> bytes:
    """A zip archive of stored members whose headers are changed before they are written.

    `central` and `local` get the number of a member and its header without the name.
    """
    body, directory = bytearray(), bytearray()
    for number, (name, data) in enumerate(members):
        raw = name.encode()
        common = struct.pack("<5H3L2H", 20, 0, 0, 0, 0, zlib.crc32(data), len(data), len(data),
                             len(raw), 0)  # fmt: skip
        header = bytearray(b"PK\x03\x04" + common)
        record = bytearray(b"PK\x01\x02\x14\x03" + common)
        record += struct.pack("<3H2L", 0, 0, 0, 0o100644 << 16, len(body))
        local(number, header)
        central(number, record)
        body += header + raw + data
        directory += record + raw
    count = len(members)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory + end)
