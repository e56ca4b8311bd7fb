"""The changes made to a collection while its next generation is built."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from services.core.adapters.qdrant_vectors.stubs import q

Change = q.UpdateBatchPoints | q.CreateFieldIndexCollection

_HEAD = struct.Struct("<BI")  # kind, length of the message
_KINDS: tuple[type[q.UpdateBatchPoints] | type[q.CreateFieldIndexCollection], ...] = (
    q.UpdateBatchPoints,
    q.CreateFieldIndexCollection,
)


class Journal:
    """A file of changes in their order, written by the server, read by it and the builder.

    It need not survive the server: the generation that answers holds the same changes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO = path.open("xb", buffering=0)

    def append(self, change: Change) -> None:
        message = change.SerializeToString()
        record = _HEAD.pack(_KINDS.index(type(change)), len(message)) + message
        if self._file.write(record) != len(record):
            raise OSError(f"{self.path}: written in part")

    def size(self) -> int:
        return self.path.stat().st_size

    def close(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


def changes_after(path: Path, offset: int) -> Iterator[tuple[Change, int]]:
    """The changes from byte `offset` on, each with the offset behind it.

    Ends at a record that is still being written.
    """
    with path.open("rb") as file:
        file.seek(offset)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            kind, length = _HEAD.unpack(head)
            message = file.read(length)
            if len(message) < length:
                return
            offset += _HEAD.size + length
            yield _KINDS[kind].FromString(message), offset
