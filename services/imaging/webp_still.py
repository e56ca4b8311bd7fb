"""Large WebP pictures with half of the memory that Pillow takes for them.

Pillow reads every WebP as an animation: two canvases, the frame and the picture, 16 bytes a pixel.
libwebp's call for still pictures writes into memory of ours: 4 bytes a pixel, 8 when lossless.
Source: webp/decode.h of libwebp, whose calls have not changed since its first version.
"""

import ctypes
from functools import cache
from pathlib import Path

from PIL import Image, WebPImagePlugin

_MAPS = Path("/proc/self/maps")
_ANIMATED = 0x02  # flag of a VP8X chunk, RFC 9649 section 2.7.1


def is_still(data: bytes) -> bool:
    """Whether a WebP has one picture."""
    return data[12:16] != b"VP8X" or not data[20] & _ANIMATED


def decode_still(data: bytes, width: int, height: int) -> Image.Image | None:
    """The picture in mode RGBA, or None where the library that Pillow brings is not found.

    Raises OSError for a damaged file, MemoryError.
    """
    library = _library()
    if library is None:
        return None
    pixels = bytearray(4 * width * height)
    buffer = (ctypes.c_char * len(pixels)).from_buffer(pixels)
    arguments = (data, ctypes.c_size_t(len(data)), buffer, ctypes.c_size_t(len(pixels)), 4 * width)
    if not library.WebPDecodeRGBAInto(*arguments):
        raise OSError("the WebP picture is damaged")
    del buffer
    return Image.frombuffer("RGBA", (width, height), pixels, "raw", "RGBA", 0, 1)


@cache
def _library() -> ctypes.CDLL | None:
    if not WebPImagePlugin.SUPPORTED:
        return None
    for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        path = line.split(maxsplit=5)[-1]
        if Path(path).name.startswith(("libwebp-", "libwebp.so")):
            library = ctypes.CDLL(path)  # the one that is loaded already
            library.WebPDecodeRGBAInto.restype = ctypes.c_void_p
            return library
    return None
