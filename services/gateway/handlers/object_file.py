"""A stored object as a file to read from anywhere."""

import io
import os

from services.core.domain.errors import InvalidArgument
from services.core.ports import ObjectStore

BLOCK = 1 << 20


class ObjectFile(io.RawIOBase):
    """The object `key` of `size` bytes; one block of it is held in memory.

    Reading more than `most` bytes at once raises InvalidArgument: whoever reads a file as its own
    words say must not be talked into taking all memory.
    """

    def __init__(self, objects: ObjectStore, key: str, size: int, most: int = 16 << 20) -> None:
        super().__init__()
        self._objects = objects
        self._key = key
        self._size = size
        self._most = most
        self._place = 0
        self._block = (0, b"")  # where it begins, its bytes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"offset {offset} is before the beginning")
        self._place = start + offset
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        left = max(self._size - self._place, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > self._most:
            raise InvalidArgument(f"{wanted} bytes of {self._key} at once are too many")
        start, block = self._block
        if not start <= self._place <= self._place + wanted <= start + len(block):
            length = min(max(wanted, BLOCK), left)
            start, block = self._place, self._objects.get_range(self._key, self._place, length)
            self._block = (start, block)
        data = block[self._place - start : self._place - start + wanted]
        self._place += len(data)
        return data
