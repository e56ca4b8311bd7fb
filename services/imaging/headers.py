"""Format and size of an image from its first bytes, with nothing decoded or allocated.

Written by hand rather than with Pillow: opening a file there already inflates PNG profiles and
allocates WebP canvases, and this runs in processes that must survive any bytes. Sources: JPEG
ITU-T T.81 annex B; PNG (W3C) section 11.2.2; RFC 9649 (WebP) sections 2.5 to 2.7.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from services.imaging.limits import ImageLimits
from services.imaging.verdicts import Verdict, refuse

_PNG = b"\x89PNG\r\n\x1a\n"
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers that stand alone
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG start-of-frame markers


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Format (JPEG, PNG or WEBP) and size in pixels as stored, before any EXIF rotation."""

    format: str
    width: int
    height: int


def inspect(data: bytes, limits: ImageLimits) -> ImageInfo:
    """Reads the header of `data` and holds it against `limits`; raises InvalidImage."""
    if not data:
        raise refuse(Verdict.IMAGE_EMPTY)
    if len(data) > limits.max_bytes:
        raise refuse(Verdict.IMAGE_TOO_LARGE, f"{len(data)} bytes, limit {limits.max_bytes}")
    kind, measure = _recognise(data)
    if kind not in limits.formats:
        raise refuse(Verdict.IMAGE_FORMAT_UNSUPPORTED, f"use {', '.join(limits.formats)}")
    try:
        width, height = measure(data)
    except (struct.error, IndexError) as error:
        raise refuse(Verdict.IMAGE_TRUNCATED, f"within the {kind} header") from error
    if width < 1 or height < 1:
        raise refuse(Verdict.IMAGE_UNDECODABLE, f"its size is {width} x {height} pixels")
    if width * height > limits.max_pixels:
        raise refuse(
            Verdict.IMAGE_TOO_MANY_PIXELS, f"{width} x {height}, limit {limits.max_pixels}"
        )
    return ImageInfo(kind, width, height)


def _recognise(data: bytes) -> tuple[str, Callable[[bytes], tuple[int, int]]]:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG", _jpeg_size
    if data.startswith(_PNG):
        return "PNG", _png_size
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP", _webp_size
    return "", _png_size


def _png_size(data: bytes) -> tuple[int, int]:
    name, width, height = struct.unpack_from(">4sII", data, 12)
    if name != b"IHDR":
        raise refuse(Verdict.IMAGE_UNDECODABLE, "the PNG does not begin with IHDR")
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise refuse(Verdict.IMAGE_UNDECODABLE, "a JPEG marker is missing")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _NO_LENGTH:
            at += 2
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker in (0xD9, 0xDA):
            raise refuse(Verdict.IMAGE_UNDECODABLE, "the JPEG has no frame before its scan")
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            at += 2 + max(length, 2)


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = data[24:27], data[27:30]
        if len(height) < 3:
            raise IndexError("VP8X")
        return 1 + int.from_bytes(width, "little"), 1 + int.from_bytes(height, "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width14, height14 = struct.unpack_from("<HH", data, 26)
        return width14 & 0x3FFF, height14 & 0x3FFF
    raise refuse(Verdict.IMAGE_UNDECODABLE, "the WebP has no picture")
