"""The central directory of a zip archive, read record by record.

Sizes and names are taken from here; `zip_members` compares them with what stands before the data.
Layout: APPNOTE.TXT of PKWARE, 4.3.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from shelflens.archives.index import Stored
from shelflens.archives.names import decode_name, member_name
from shelflens.archives.refusal import ArchiveLimits, BadArchive
from shelflens.archives.tar_headers import damaged

STORED, DEFLATED = 0, 8
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_RECORD = struct.Struct("<4s6H3L5H2L")
_MAX_COMMENT = 65_535
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UTF8 = 0x800
_ALL_32 = 0xFFFFFFFF  # the value stands in a 64-bit field instead
_UNIX, _TYPE, _REGULAR = 3, 0o170000, (0, 0o100000)


@dataclass(frozen=True, slots=True)
class ZipMember:
    """One record: `name` as `member_name` gives it, `size` unpacked bytes."""

    name: str
    size: int
    is_folder: bool
    is_regular: bool  # no link or device
    stored: Stored


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies, in bytes, and how many records it has."""

    place: int
    size: int
    count: int


def find_directory(file: BinaryIO, file_size: int) -> Directory:
    """Raises BadArchive (ARCHIVE_TRUNCATED, ARCHIVE_DAMAGED, ARCHIVE_UNSUPPORTED)."""
    tail_place = max(0, file_size - _END.size - _MAX_COMMENT)
    file.seek(tail_place)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0 and at + _END.size + int.from_bytes(tail[at + 20 : at + 22], "little") != len(
        tail
    ):
        at = tail.rfind(b"PK\x05\x06", 0, at)
    if at < 0:
        raise BadArchive(
            "ARCHIVE_TRUNCATED", "the zip archive has no end; fetch it anew (is it complete?)"
        )
    _, disk, first_disk, here, count, size, place, _ = _END.unpack_from(tail, at)
    end, disk, first_disk, here, count, size, place = _find_64(
        file, tail_place + at, (disk, first_disk, here, count, size, place)
    )
    if disk or first_disk or here != count:
        raise BadArchive("ARCHIVE_UNSUPPORTED", "a zip archive in several parts; pack it into one")
    if place + size != end:
        raise damaged("the directory of the zip archive is not where it says")
    return Directory(place, size, count)


def _find_64(
    file: BinaryIO, end: int, short: tuple[int, int, int, int, int, int]
) -> tuple[int, int, int, int, int, int, int]:
    """The same seven values from the 64-bit record, where there is one."""
    if end < _LOCATOR_64.size:
        return (end, *short)
    file.seek(end - _LOCATOR_64.size)
    mark, _, place_64, _ = _LOCATOR_64.unpack(file.read(_LOCATOR_64.size))
    if mark != b"PK\x06\x07":
        return (end, *short)
    if place_64 > end - _LOCATOR_64.size - _END_64.size:
        raise damaged("the directory of the zip archive is not where it says")
    file.seek(place_64)
    mark, _, _, _, disk, first_disk, here, count, size, place = _END_64.unpack(
        file.read(_END_64.size)
    )
    if mark != b"PK\x06\x06":
        raise damaged("the directory of the zip archive is not where it says")
    return place_64, disk, first_disk, here, count, size, place


def read_directory(
    file: BinaryIO, directory: Directory, limits: ArchiveLimits
) -> Iterator[ZipMember]:
    """Its records in their order, each checked. Raises BadArchive."""
    limits.check_members(directory.count)
    file.seek(directory.place)
    left, expanded = directory.size, 0
    for _ in range(directory.count):
        head = file.read(_RECORD.size)
        if len(head) < _RECORD.size or head[:4] != b"PK\x01\x02":
            raise damaged("the directory of the zip archive cannot be read")
        name_size, extra_size, comment_size = struct.unpack_from("<3H", head, 28)
        rest = file.read(name_size + extra_size + comment_size)
        left -= len(head) + len(rest)
        member = _member(head, rest[:name_size], rest[name_size : name_size + extra_size])
        expanded += member.size
        limits.check_bytes(expanded, file_end(directory), "the archive")
        limits.check_bytes(member.size, member.stored.packed, repr(member.name[:200]))
        if member.stored.place + 30 + member.stored.packed > directory.place:
            raise overlapping(member.name)
        yield member
    if left:
        raise damaged("the directory of the zip archive has another length than it says")


def file_end(directory: Directory) -> int:
    """Bytes of the archive before its last record."""
    return directory.place + directory.size


def overlapping(name: str) -> BadArchive:
    """The error for a member whose bytes are also those of another."""
    return BadArchive(
        "ARCHIVE_OVERLAP",
        f"{name[:200]!r} shares its bytes with another part of the archive, as only archives made "
        "to harm do; pack the images anew",
    )


def _member(head: bytes, raw: bytes, extra: bytes) -> ZipMember:
    (_, made_by, _, flags, method, _, _, crc, packed, size, *_, attributes, place) = _RECORD.unpack(
        head
    )
    fields = dict(_extra_fields(extra))
    size, packed, place = _wide(fields.get(0x0001, b""), size, packed, place)
    written = decode_zip_name(raw, flags, fields.get(0x7075, b""))
    name = member_name(written)
    mode = attributes >> 16 if made_by >> 8 == _UNIX else 0
    is_folder = written.endswith("/") or mode & _TYPE == 0o040000
    if flags & _ENCRYPTED:
        raise BadArchive("ARCHIVE_ENCRYPTED", f"{name[:200]!r} is encrypted; pack it without")
    if is_folder and size:
        raise damaged(f"{name[:200]!r} is a folder with bytes")
    if method not in (STORED, DEFLATED):
        raise BadArchive(
            "ARCHIVE_COMPRESSION_UNSUPPORTED",
            f"{name[:200]!r} is packed with method {method}; pack it with deflate or uncompressed",
        )
    if method == STORED and size != packed:
        raise damaged(f"the sizes of {name[:200]!r} contradict each other")
    regular = mode & _TYPE in _REGULAR
    return ZipMember(name, size, is_folder, regular, Stored(place, packed, method, crc))


def decode_zip_name(raw: bytes, flags: int, unicode_field: bytes = b"") -> str:
    """UTF-8 where it is valid, whatever the flag says, else code page 437.

    `unicode_field` is the content of the extra field 0x7075, which wins where it fits the name.
    """
    fits = int.from_bytes(unicode_field[1:5], "little") == zlib.crc32(raw)
    if not flags & _UTF8 and unicode_field[:1] == b"\x01" and fits:
        return decode_name(unicode_field[5:], "cp437")
    return decode_name(raw, "cp437")


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start + 4 <= len(extra):
        key, size = struct.unpack_from("<2H", extra, start)
        yield key, extra[start + 4 : start + 4 + size]
        start += 4 + size


def _wide(field: bytes, size: int, packed: int, place: int) -> tuple[int, int, int]:
    """The three values, each from the 64-bit field where the short one is full."""
    values = []
    for value in (size, packed, place):
        if value == _ALL_32:
            if len(field) < 8:
                raise damaged("a large member has no 64-bit size")
            value, field = int.from_bytes(field[:8], "little"), field[8:]
        values.append(value)
    return values[0], values[1], values[2]
