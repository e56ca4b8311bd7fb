"""The bytes of a tar archive, unpacked on the way, from a file or a pipe."""

import bz2
import gzip
import lzma
import threading
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol

import zstandard

from shelflens.archives.kinds import Kind
from shelflens.archives.refusal import ArchiveLimits, BadArchive
from shelflens.archives.tar_headers import damaged
from shelflens.errors import Cancelled

_PACKED = 128 << 10  # bytes read from the file at a time
_XZ_MEMORY = 256 << 20
_ZSTD_WINDOW = 1 << 27  # all that zstd writes without --ultra or a larger --long
_BAD_DATA = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError)


class _Reads(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class PackedFile:
    """The file as it lies there: counted, and left as soon as `stop` is set."""

    def __init__(self, head: bytes, file: BinaryIO, stop: threading.Event) -> None:
        """`head` was already read from `file`."""
        self.count = 0
        self._head = head
        self._file = file
        self._stop = stop

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, none at the end. Raises Cancelled."""
        if self._stop.is_set():
            raise Cancelled("the upload was stopped; no import was started")
        if self._head:
            size = len(self._head) if size < 0 else size
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._file.read(size if size >= 0 else _PACKED)
        self.count += len(data)
        return data

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class ArchiveStream:
    """Unpacked bytes from the beginning to the end, within the limits."""

    def __init__(self, packed: PackedFile, kind: Kind, limits: ArchiveLimits) -> None:
        self.count = 0  # unpacked bytes so far
        self._packed = packed
        self._limits = limits
        self._unpacked = _OPEN[kind](packed)

    @property
    def packed_count(self) -> int:
        """Bytes of the file read so far."""
        return self._packed.count

    def read(self, size: int) -> bytes:
        """At most `size` bytes, none at the end. Raises BadArchive and Cancelled."""
        try:
            data = self._unpacked.read(size)
        except EOFError:
            raise truncated() from None
        except _BAD_DATA as error:
            raise _unreadable(error) from None
        self.count += len(data)
        self._limits.check_bytes(self.count, self._packed.count, "the archive")
        return data

    def exactly(self, size: int) -> bytes:
        """`size` bytes. Raises BadArchive (ARCHIVE_TRUNCATED and more)."""
        pieces, left = [], size
        while left:
            piece = self.read(left)
            if not piece:
                raise truncated()
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)


class _XzReader:
    """One or several .xz streams; unlike lzma.LZMAFile, with a limit on memory."""

    def __init__(self, packed: PackedFile) -> None:
        self._packed = packed
        self._unpacker = self._fresh()
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        while True:
            if self._unpacker.eof:
                rest = self._unpacker.unused_data or self._packed.read(_PACKED)
                rest = rest.lstrip(b"\0")  # padding between streams
                if not rest:
                    return b""
                self._unpacker, self._rest = self._fresh(), rest
            if not self._rest and self._unpacker.needs_input:
                self._rest = self._packed.read(_PACKED)
                if not self._rest:
                    raise EOFError
            data = self._unpacker.decompress(self._rest, size)
            self._rest = b""
            if data:
                return data

    @staticmethod
    def _fresh() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def _zstd(packed: PackedFile) -> _Reads:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    reader: _Reads = unpacker.stream_reader(packed, _PACKED, read_across_frames=True)  # type: ignore[arg-type]
    return reader


_OPEN: dict[Kind, Callable[[PackedFile], _Reads]] = {
    "tar": lambda packed: packed,
    "gzip": lambda packed: gzip.GzipFile(fileobj=packed, mode="rb"),  # type: ignore[call-overload]
    "bzip2": lambda packed: bz2.BZ2File(packed),  # type: ignore[call-overload]
    "xz": _XzReader,
    "zstd": _zstd,
}


def truncated() -> BadArchive:
    """The error for an archive that ends too early."""
    return BadArchive(
        "ARCHIVE_TRUNCATED",
        "the archive ends in the middle; no import was started, and images that were sent are not "
        "sent again: fetch the archive anew and repeat the import",
    )


def _unreadable(error: Exception) -> BadArchive:
    if isinstance(error, OSError) and error.errno is not None:
        return BadArchive("ARCHIVE_UNREADABLE", error.strerror or str(error))
    if "memory" in str(error).lower():
        return BadArchive(
            "ARCHIVE_UNSUPPORTED", "unpacking takes too much memory; compress without --long"
        )
    return damaged(f"the compressed data cannot be read ({str(error)[:100]})")
