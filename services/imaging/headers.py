"""Format and size of an image from its first bytes, with nothing decoded or allocated.

Written by hand rather than with Pillow: opening a file there already inflates PNG profiles and
allocates WebP canvases, and this runs in processes that must survive any bytes. Sources: JPEG
ITU-T T.81 annex B; PNG (W3C) section 11.2.2; RFC 9649 (WebP) sections 2.5 to 2.7.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from services.imaging.avif_header import avif_size
from services.imaging.limits import ImageLimits
from services.imaging.signatures import advice, recognise
from services.imaging.verdicts import Verdict, refuse

_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers that stand alone
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG start-of-frame markers
_SEQUENTIAL = frozenset({0xC0, 0xC1})
# Fewest bytes for a pixel: a block of 64 takes at least a bit for its average, and another one when
# it is not progressive. Arithmetic coding knows no such bound.
_PIXELS_A_BYTE = {0xC0: 256, 0xC1: 256, 0xC2: 512}
_MAX_MARKERS = 10_000  # more before the picture is an attempt to keep us busy


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Format (one of limits.FORMATS) and size in pixels as stored, before any EXIF rotation.

    `buffered` is for JPEG: all of it is held while it is decoded, however small it comes out
    (progressive, or a scan for each colour). A whole file of that size has at least `least_bytes`.
    """

    format: str
    width: int
    height: int
    buffered: bool = False
    least_bytes: int = field(default=0, compare=False)

    @property
    def pixels(self) -> int:
        return self.width * self.height


def inspect(data: bytes, limits: ImageLimits) -> ImageInfo:
    """Reads the header of `data` and holds it against `limits`; raises InvalidImage."""
    if not data:
        raise refuse(Verdict.IMAGE_EMPTY)
    if len(data) > limits.max_bytes:
        raise refuse(Verdict.IMAGE_TOO_LARGE, f"{len(data)} bytes, limit {limits.max_bytes}")
    kind = recognise(data)
    if kind not in limits.formats:
        raise refuse(Verdict.IMAGE_FORMAT_UNSUPPORTED, advice(data, limits.formats))
    try:
        info = _MEASURES[kind](data)
    except (struct.error, IndexError) as error:
        raise refuse(Verdict.IMAGE_TRUNCATED, f"within the {kind} header") from error
    _check_size(info, limits)
    if len(data) < info.least_bytes:
        size = f"{info.width} x {info.height}"
        raise refuse(Verdict.IMAGE_TRUNCATED, f"{len(data)} bytes are too few for {size} pixels")
    return info


def _check_size(info: ImageInfo, limits: ImageLimits) -> None:
    size = f"{info.width} x {info.height}"
    if info.width < 1 or info.height < 1:
        raise refuse(Verdict.IMAGE_UNDECODABLE, f"its size is {size} pixels")
    if info.pixels > limits.max_pixels:
        raise refuse(Verdict.IMAGE_TOO_MANY_PIXELS, f"{size}, limit {limits.max_pixels}")
    if max(info.width, info.height) > limits.max_ratio * min(info.width, info.height):
        raise refuse(Verdict.IMAGE_TOO_NARROW, f"{size}, limit {limits.max_ratio} to 1")


def _png(data: bytes) -> ImageInfo:
    length, name, width, height = struct.unpack_from(">I4sII", data, 8)
    if name != b"IHDR" or length != 13:
        raise refuse(Verdict.IMAGE_UNDECODABLE, "the PNG does not begin with IHDR")
    return ImageInfo("PNG", width, height)


def _jpeg(data: bytes) -> ImageInfo:
    at = 2
    frame: tuple[int, int, int, int] | None = None  # marker, height, width, colours
    for _ in range(_MAX_MARKERS):
        if data[at] != 0xFF:
            raise refuse(Verdict.IMAGE_UNDECODABLE, "a JPEG marker is missing")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _NO_LENGTH:
            at += 2
            continue
        if marker in _FRAMES and frame is None:
            frame = (marker, *struct.unpack_from(">HHB", data, at + 5))
        elif marker in _FRAMES:
            raise refuse(Verdict.IMAGE_UNDECODABLE, "the JPEG has two frames")
        elif marker in (0xD9, 0xDA):
            if frame is None:
                raise refuse(Verdict.IMAGE_UNDECODABLE, "the JPEG has no frame before its scan")
            kind, height, width, colours = frame
            at_once = kind in _SEQUENTIAL and marker == 0xDA and data[at + 4] >= colours
            least = width * height // _PIXELS_A_BYTE.get(kind, width * height + 1)
            return ImageInfo("JPEG", width, height, not at_once, least)
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + max(length, 2)
    raise refuse(Verdict.IMAGE_UNDECODABLE, f"over {_MAX_MARKERS} markers before the picture")


def _webp(data: bytes) -> ImageInfo:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = data[24:27], data[27:30]
        if len(height) < 3:
            raise IndexError("VP8X")
        return ImageInfo(
            "WEBP", 1 + int.from_bytes(width, "little"), 1 + int.from_bytes(height, "little")
        )
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return ImageInfo("WEBP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 ":
        width14, height14 = struct.unpack_from("<HH", data, 26)
        return ImageInfo("WEBP", width14 & 0x3FFF, height14 & 0x3FFF)
    raise refuse(Verdict.IMAGE_UNDECODABLE, "the WebP has no picture")


def _avif(data: bytes) -> ImageInfo:
    return ImageInfo("AVIF", *avif_size(data))


_MEASURES: dict[str, Callable[[bytes], ImageInfo]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "AVIF": _avif,
}
