"""A child process that decodes one image after the other: `python -m ...decode_child`.

It starts clean (no torch, no settings, no credentials), gives up the rights it does not need, and
dies with its parent. Bytes come and pixels go through one block of shared memory, and only a few
numbers through a socket, see decode_process.
"""

import json
import mmap
import os
import resource
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.core.domain.errors import InvalidImage
from services.core.domain.model_spec import FITS
from services.core.runtime.child_process import die_with_parent
from services.imaging.limits import ImageLimits
from services.imaging.resizing import (
    INTERPOLATIONS,
    MAX_CROP,
    MOST_ROW_BYTES,
    PixelRecipe,
    Pixels,
    Square,
)
from services.imaging.rows import fill

REPLY = struct.Struct("<BI")  # READY, PIXELS or REFUSED, and the length of what is in the slot
READY, PIXELS, REFUSED = range(3)
# Length of the bytes, memory that their pixels take, number of squares; then each square: resize,
# crop, at_least, and the places of its interpolation and its fit in their lists.
_REQUEST = struct.Struct("<IQB")
_SQUARE = struct.Struct("<HHHBB")
_INTERPOLATIONS = tuple(INTERPOLATIONS)
_SQUARE_BYTES = MAX_CROP * MAX_CROP * 3
# What an image may take besides its pixels: tables of the codecs, and copies of its bytes (one in
# Python, one without metadata, one in a codec, one on the way).
_OVERHEAD = 64 << 20
_COPIES = 4


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """What a child is told on its command line (as JSON)."""

    parent: int  # process id
    socket: int  # file descriptors, inherited
    memory: int
    memory_limit: int  # bytes beyond what the process has when it starts
    niceness: int
    max_bytes: int
    max_pixels: int
    formats: tuple[str, ...]
    max_ratio: int


def main(arguments: list[str]) -> None:
    """Decodes until the parent closes the socket."""
    values = json.loads(arguments[0])
    settings = ChildSettings(**{**values, "formats": tuple(values["formats"])})
    die_with_parent(settings.parent)
    os.nice(settings.niceness)
    slot = mmap.mmap(settings.memory, settings.max_bytes + MOST_ROW_BYTES)
    started_with = _restrict(settings.memory_limit)
    limits = ImageLimits(
        settings.max_bytes, settings.max_pixels, settings.formats, settings.max_ratio
    )
    with socket.socket(fileno=settings.socket) as channel:
        channel.sendall(REPLY.pack(READY, 0))
        while (request := _receive(channel)) is not None:
            length, cost, recipe = request
            allowed = min(settings.memory_limit, _OVERHEAD + _COPIES * length + cost)
            _allow(started_with + allowed)
            row = np.frombuffer(slot, np.uint8, recipe.row_bytes, settings.max_bytes)
            answer = _answer(slot[:length], limits, recipe, row)
            if answer is None:
                channel.sendall(REPLY.pack(PIXELS, recipe.row_bytes))
            else:
                slot[settings.max_bytes : settings.max_bytes + len(answer)] = answer
                channel.sendall(REPLY.pack(REFUSED, len(answer)))


def pack_request(length: int, cost: int, recipe: PixelRecipe) -> bytes:
    """What a child is asked: the image of `length` bytes in the slot, as `recipe` has it."""
    squares = (
        _SQUARE.pack(
            each.resize,
            each.crop,
            each.at_least,
            _INTERPOLATIONS.index(each.interpolation),
            FITS.index(each.fit),
        )
        for each in recipe.squares
    )
    return b"".join((_REQUEST.pack(length, cost, len(recipe.squares)), *squares))


def _receive(channel: socket.socket) -> tuple[int, int, PixelRecipe] | None:
    """None when the parent has closed the socket."""
    if not (request := channel.recv(_REQUEST.size, socket.MSG_WAITALL)):
        return None
    length, cost, count = _REQUEST.unpack(request)
    squares = channel.recv(count * _SQUARE.size, socket.MSG_WAITALL)
    recipe = PixelRecipe(
        tuple(
            Square(resize, crop, _INTERPOLATIONS[how], FITS[fit], least)
            for resize, crop, least, how, fit in _SQUARE.iter_unpack(squares)
        )
    )
    return length, cost, recipe


def _answer(data: bytes, limits: ImageLimits, recipe: PixelRecipe, row: Pixels) -> bytes | None:
    """Fills `row`, or returns why not."""
    try:
        fill(row, data, limits, recipe)
        return None
    except InvalidImage as error:
        return json.dumps([error.reason, error.message]).encode()
    except MemoryError:
        return b'["IMAGE_MEMORY_EXCEEDED", ""]'


def _restrict(memory_limit: int) -> int:
    """Gives up what the process does not need; the bytes of address space that it has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    now = pages * mmap.PAGESIZE + _SQUARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (now + memory_limit, now + memory_limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return now


def _allow(address_space: int) -> None:
    """For the next image: a header that lies about its pixels cannot make the codec take more."""
    _, ceiling = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (address_space, ceiling))


if __name__ == "__main__":
    main(sys.argv[1:])
