"""One 512-byte header of a tar archive, and the records that extend it."""

import re
from dataclasses import dataclass
from typing import Literal

from shelflens.archives.names import decode_name
from shelflens.archives.refusal import BadArchive

BLOCK = 512
MAX_EXTENSION = 1 << 20  # bytes of a long name or of extended attributes
_SUM = slice(148, 156)
_RECORD = re.compile(rb"(\d{1,7}) ([^=\n]+)=")

Type = Literal["file", "folder", "link", "device", "sparse", "other"]
_TYPES: dict[bytes, Type] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "link",
    b"2": "link",
    b"3": "device",
    b"4": "device",
    b"5": "folder",
    b"6": "device",
    b"S": "sparse",
}
LONG_NAME, LONG_LINK, EXTENDED, FOR_ALL = b"L", b"K", (b"x", b"X"), b"g"


@dataclass(frozen=True, slots=True)
class TarHeader:
    """`size` is the number of bytes that follow; `flag` the type as the archive has it."""

    name: str
    size: int
    flag: bytes
    type: Type


def looks_like_tar(block: bytes) -> bool:
    """Whether `block` is a header with a right checksum."""
    return len(block) >= BLOCK and any(block[:BLOCK]) and _has_right_sum(block[:BLOCK])


def parse_header(block: bytes) -> TarHeader:
    """Raises BadArchive (ARCHIVE_DAMAGED)."""
    if not _has_right_sum(block):
        raise damaged("the checksum of a header is wrong")
    raw = _until_nul(block[:100])
    if block[257:263] == b"ustar\0" and (prefix := _until_nul(block[345:500])):
        raw = prefix + b"/" + raw
    flag = block[156:157]
    kind = _TYPES.get(flag, "other")
    if kind == "file" and raw.endswith(b"/"):
        kind = "folder"  # how archives before 1988 wrote one
    size = _number(block[124:136]) if kind in ("file", "sparse", "other") else 0
    return TarHeader(decode_name(raw, "latin-1"), size, flag, kind)


def parse_records(data: bytes) -> dict[str, bytes]:
    """Extended attributes: lines of `LENGTH KEY=VALUE`. Raises BadArchive (ARCHIVE_DAMAGED)."""
    records: dict[str, bytes] = {}
    start = 0
    while start < len(data):
        found = _RECORD.match(data, start)
        end = start + int(found[1]) if found else 0
        if not found or end > len(data) or end <= found.end() or data[end - 1 : end] != b"\n":
            raise damaged("an extended header cannot be read")
        records[found[2].decode("utf-8", "replace")] = data[found.end() : end - 1]
        start = end
    return records


def damaged(why: str) -> BadArchive:
    """The error for an archive whose structure is broken."""
    return BadArchive("ARCHIVE_DAMAGED", f"{why}; pack or fetch the archive anew")


def _has_right_sum(block: bytes) -> bool:
    if not any(byte in b"01234567" for byte in block[_SUM]):
        return False
    try:
        written = _number(block[_SUM])
    except BadArchive:
        return False
    # As if its own field held blanks. Some old programs summed signed bytes.
    others = block[: _SUM.start] + b" " * 8 + block[_SUM.stop :]
    unsigned = sum(others)
    return written == unsigned or written == unsigned - 256 * sum(byte > 127 for byte in others)


def _number(field: bytes) -> int:
    if field[0] == 0x80:  # binary, for what is too large for octal digits
        return int.from_bytes(field[1:], "big")
    text = field.replace(b"\0", b" ").strip()
    if not re.fullmatch(rb"[0-7]*", text):
        raise damaged("a header has a number that is none")
    return int(text or b"0", 8)


def _until_nul(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]
