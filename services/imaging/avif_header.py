"""Size of an AVIF picture from its boxes.

Sources: ISO/IEC 14496-12 sections 4.2 and 8.3.2, ISO/IEC 23008-12 section 6.5.3 (ispe).
"""

import struct
from collections.abc import Iterator

from services.imaging.verdicts import Verdict, refuse

_MAX_BOXES = 4_096  # a grid of the largest size has far fewer
# The boxes on the way to a size, and the bytes before the boxes within them.
_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0}


def avif_size(data: bytes) -> tuple[int, int]:
    """Width and height of the largest item or track, which is the picture: tiles, thumbnails and
    the alpha plane are no larger.

    Raises InvalidImage (IMAGE_TRUNCATED, IMAGE_UNDECODABLE), struct.error.
    """
    largest = (0, 0)
    for name, start, end in _boxes(data, 0, len(data)):
        if name == b"ispe":
            size = struct.unpack_from(">II", data, start + 4)
        elif name == b"tkhd":
            width, height = struct.unpack_from(">II", data, end - 8)
            size = (width >> 16, height >> 16)
        else:
            continue
        largest = max(largest, size, key=lambda each: each[0] * each[1])
    return largest


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of every box that may hold a size, however nested."""
    todo = [(start, end)]
    for _ in range(_MAX_BOXES):
        while todo and todo[-1][0] >= todo[-1][1]:
            todo.pop()
        if not todo:
            return
        at, end = todo.pop()
        length, name = struct.unpack_from(">I4s", data, at)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
            header = 16
        stop = at + length if length else end
        if stop > len(data):
            raise refuse(Verdict.IMAGE_TRUNCATED, "an AVIF box goes beyond the end of the file")
        if stop > end or stop < at + header:
            raise refuse(Verdict.IMAGE_UNDECODABLE, "an AVIF box has an impossible length")
        todo.append((stop, end))
        if name in _CONTAINERS:
            todo.append((at + header + _CONTAINERS[name], stop))
        else:
            yield name, at + header, stop
    raise refuse(Verdict.IMAGE_UNDECODABLE, f"the AVIF has more than {_MAX_BOXES} boxes")
