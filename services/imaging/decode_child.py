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

from services.core.domain.errors import InvalidImage
from services.core.runtime.child_process import die_with_parent
from services.imaging.decoding import decode
from services.imaging.limits import ImageLimits
from services.imaging.resizing import INTERPOLATIONS, MAX_CROP, PixelRecipe, to_pixels

# Length of the bytes, memory that their pixels take, resize, crop, index in INTERPOLATIONS.
REQUEST = struct.Struct("<IQHHB")
REPLY = struct.Struct("<BI")  # READY, PIXELS or REFUSED, and the length of what is in the slot
READY, PIXELS, REFUSED = range(3)
PIXEL_BYTES = MAX_CROP * MAX_CROP * 3
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
    slot = mmap.mmap(settings.memory, settings.max_bytes + PIXEL_BYTES)
    started_with = _restrict(settings.memory_limit)
    limits = ImageLimits(
        settings.max_bytes, settings.max_pixels, settings.formats, settings.max_ratio
    )
    with socket.socket(fileno=settings.socket) as channel:
        channel.sendall(REPLY.pack(READY, 0))
        while request := channel.recv(REQUEST.size, socket.MSG_WAITALL):
            length, cost, resize, crop, index = REQUEST.unpack(request)
            allowed = min(settings.memory_limit, _OVERHEAD + _COPIES * length + cost)
            _allow(started_with + allowed)
            recipe = PixelRecipe(resize, crop, list(INTERPOLATIONS)[index])
            kind, answer = _answer(slot[:length], limits, recipe)
            slot[settings.max_bytes : settings.max_bytes + len(answer)] = answer
            channel.sendall(REPLY.pack(kind, len(answer)))


def _answer(data: bytes, limits: ImageLimits, recipe: PixelRecipe) -> tuple[int, bytes]:
    try:
        image = decode(data, limits, at_least=recipe.resize)
        return PIXELS, to_pixels(image, recipe).tobytes()
    except InvalidImage as error:
        return REFUSED, json.dumps([error.reason, error.message]).encode()
    except MemoryError:
        return REFUSED, b'["IMAGE_MEMORY_EXCEEDED", ""]'


def _restrict(memory_limit: int) -> int:
    """Gives up what the process does not need; the bytes of address space that it has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    now = pages * mmap.PAGESIZE + PIXEL_BYTES
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
