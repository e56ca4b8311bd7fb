"""Where a manifest's shards begin and end, at the speed of the disk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_NEWLINE = 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes [offset, offset + length) that hold `rows` whole lines."""

    offset: int
    length: int
    rows: int


class ManifestCutter:
    """Cuts a stream of bytes at line ends: `rows` lines a shard, fewer where those are long.

    A shard ends with the line that takes it over `size` bytes. Holds counters only, never lines.
    """

    def __init__(self, offset: int, rows: int, size: int) -> None:
        self._rows = rows
        self._size = size
        self._start = offset  # of the open shard
        self._lines = 0  # whole lines in the open shard
        self._line_end = offset  # of the last whole line
        self._position = offset

    @property
    def rest(self) -> Bounds | None:
        """The open shard's whole lines, if any."""
        return self._bounds(self._line_end, self._lines) if self._lines else None

    @property
    def tail(self) -> Bounds | None:
        """The open shard at the end of the data, a last line without its line end included."""
        lines = self._lines + (self._position > self._line_end)
        return self._bounds(self._position, lines) if lines else None

    def feed(self, piece: bytes) -> Iterator[Bounds]:
        """The shards that `piece`, which follows the earlier pieces, completes."""
        ends = np.flatnonzero(np.frombuffer(piece, np.uint8) == _NEWLINE) + (self._position + 1)
        self._position += len(piece)
        yield from self._cut(ends)

    def _cut(self, ends: npt.NDArray[np.int64]) -> Iterator[Bounds]:
        used = 0
        while True:
            by_rows = used + self._rows - self._lines - 1
            by_size = int(np.searchsorted(ends, self._start + self._size))
            last = min(by_rows, max(by_size, used))
            if last >= len(ends):
                break
            bounds = self._bounds(int(ends[last]), self._lines + last + 1 - used)
            self._start = self._line_end = bounds.offset + bounds.length
            self._lines = 0
            used = last + 1
            yield bounds
        if used < len(ends):
            self._lines += len(ends) - used
            self._line_end = int(ends[-1])

    def _bounds(self, end: int, lines: int) -> Bounds:
        return Bounds(self._start, end - self._start, lines)


def lines_of(pieces: Iterable[bytes], longest: int) -> Iterator[bytes | None]:
    """The lines of `pieces` without their ends; None for one of more than `longest` bytes."""
    parts: list[bytes] = []  # of the open line, empty once it is too long
    held = 0  # bytes of the open line
    for piece in pieces:
        *whole, last = piece.split(b"\n")
        for line in whole:
            held += len(line)
            yield b"".join((*parts, line)) if held <= longest else None
            parts, held = [], 0
        held += len(last)
        parts = [*parts, last] if held <= longest else []
    if held:
        yield b"".join(parts) if held <= longest else None
