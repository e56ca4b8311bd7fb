"""Members of a tar archive, one after the other, in one pass and bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from shelflens.archives.names import decode_name, member_name
from shelflens.archives.refusal import ArchiveLimits, BadArchive
from shelflens.archives.streams import ArchiveStream, truncated
from shelflens.archives.tar_headers import (
    BLOCK,
    EXTENDED,
    FOR_ALL,
    LONG_LINK,
    LONG_NAME,
    MAX_EXTENSION,
    TarHeader,
    Type,
    damaged,
    looks_like_tar,
    parse_header,
    parse_records,
)

_SKIP = 1 << 20
_EMPTY = bytes(BLOCK)
_USED = ("path", "size", "GNU.sparse")  # of the extended attributes


@dataclass(frozen=True, slots=True)
class TarMember:
    """`name` as `member_name` gives it; `size` in bytes, 0 unless it is a file."""

    name: str
    size: int
    type: Type


class TarMembers:
    """Iterates over members; `read` gives the bytes of the one that came last.

    Stricter than tar itself: a wrong header, a missing end or bytes after the end are errors, so
    that half an archive never looks like a whole one. Raises BadArchive and Cancelled.
    """

    def __init__(self, stream: ArchiveStream, limits: ArchiveLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._left = self._padding = 0

    def __iter__(self) -> Iterator[TarMember]:
        count = 0
        block = self._first()
        while block != _EMPTY:
            header, records = self._extended(block)
            count += 1
            self._limits.check_members(count)
            yield self._member(header, records)
            self._skip()
            block = self._exactly(BLOCK)
        self._check_end()

    def read(self, size: int) -> bytes:
        """At most `size` more bytes of the member; fewer only at its end."""
        data = self._exactly(min(size, self._left))
        self._left -= len(data)
        return data

    def _first(self) -> bytes:
        block = b""
        while len(block) < BLOCK and (more := self._stream.read(BLOCK - len(block))):
            block += more
        if not block:
            raise truncated()
        if block != _EMPTY and not looks_like_tar(block):
            raise BadArchive(
                "ARCHIVE_UNSUPPORTED",
                "it is compressed but holds no tar archive; decompress a manifest before importing",
            )
        return block

    def _extended(self, block: bytes) -> tuple[TarHeader, dict[str, bytes]]:
        """The header of a member, and what those before it say about it."""
        records: dict[str, bytes] = {}
        while True:
            header = parse_header(block)
            if header.flag not in (LONG_NAME, LONG_LINK, FOR_ALL, *EXTENDED):
                return header, records
            if header.size > MAX_EXTENSION:
                raise damaged("an extended header of more than 1 MiB")
            data = self._exactly(header.size)
            self._exactly(-header.size % BLOCK)
            if header.flag == LONG_NAME:
                records["path"] = data.split(b"\0", 1)[0]
            elif header.flag in EXTENDED:
                found = parse_records(data)
                records |= {key: found[key] for key in found if key.startswith(_USED)}
            elif header.flag == FOR_ALL and {"path", "size"} & parse_records(data).keys():
                raise damaged("an extended header gives all members one name or size")
            block = self._exactly(BLOCK)

    def _member(self, header: TarHeader, records: dict[str, bytes]) -> TarMember:
        kind, size = header.type, header.size
        raw = records.get("path")
        if "size" in records and kind in ("file", "sparse", "other"):
            if not records["size"].isdigit() or len(records["size"]) > 19:
                raise damaged("an extended header has a size that is none")
            size = int(records["size"])
        if any(key.startswith("GNU.sparse") for key in records):
            kind = "sparse"
        if kind == "sparse":
            raise BadArchive(
                "ARCHIVE_SPARSE",
                f"{header.name[:200]!r} is stored with holes; pack it anew without --sparse",
            )
        self._left, self._padding = size, -size % BLOCK
        name = member_name(decode_name(raw, "latin-1") if raw is not None else header.name)
        return TarMember(name, size if kind == "file" else 0, kind)

    def _skip(self) -> None:
        while self._left:
            self.read(_SKIP)
        self._exactly(self._padding)

    def _check_end(self) -> None:
        while rest := self._stream.read(_SKIP):
            if rest.count(0) != len(rest):
                raise damaged("there are bytes after its end (two archives in one file?)")

    def _exactly(self, size: int) -> bytes:
        if not size:
            return b""
        return self._stream.exactly(size)
