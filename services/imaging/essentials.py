"""The part of a file that makes the picture, and its EXIF block: all that a decoder gets.

Profiles, texts, previews and second pictures stay outside, so that a bomb in them is never
inflated and a damaged one costs nobody a good picture. Sources: PNG (W3C) sections 5 and 11; JPEG
ITU-T T.81 annex B; ISO/IEC 14496-12 section 8.11.6 (infe).
"""

import re
import struct
import zlib
from dataclasses import dataclass

from services.imaging.verdicts import Verdict, refuse

_PNG_HEAD = 8  # bytes of the signature
_PNG_KEPT = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_MAX_EXIF = 1 << 20
_MAX_CHUNKS = 10_000  # of a WebP that are looked at

_START_OF_SCAN = 0xDA
_COMMENT = 0xFE
_APPS = range(0xE0, 0xF0)
_JFIF, _EXIF, _ADOBE = 0xE0, 0xE1, 0xEE  # JFIF and Adobe say what the colours mean

# A description of an EXIF item. Pillow reads that item whole and refuses the picture when it is
# damaged; the picture does not need it, because AVIF turns pictures by properties of their own.
_AVIF_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Essentials:
    """A file of the same format that shows the same picture, and its EXIF block (often empty)."""

    data: bytes
    exif: bytes = b""


def essentials(data: bytes, kind: str) -> Essentials:
    """`kind` is one of limits.FORMATS, as headers.inspect found it.

    Raises InvalidImage: IMAGE_TRUNCATED, and IMAGE_UNDECODABLE for wrong checksums; struct.error
    or IndexError for a file that ends within a header.
    """
    if kind == "PNG":
        return _png(data)
    if kind == "JPEG":
        return _jpeg(data)
    if kind == "AVIF":
        return Essentials(_AVIF_EXIF_ITEM.sub(rb"\1skip", data))
    return _webp(data)


def _png(data: bytes) -> Essentials:
    kept = [data[:_PNG_HEAD]]
    exif = b""
    view = memoryview(data)
    at, name = _PNG_HEAD, b""
    while name != b"IEND":
        if at + 12 > len(data):
            raise refuse(Verdict.IMAGE_TRUNCATED, "the PNG has no end")
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise refuse(Verdict.IMAGE_TRUNCATED, "a PNG chunk goes beyond the end of the file")
        if name in _PNG_KEPT:
            (written,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(view[at + 4 : end - 4]) != written:
                raise refuse(Verdict.IMAGE_UNDECODABLE, "a checksum in the PNG is wrong")
            if name == b"IHDR" and at != _PNG_HEAD:
                raise refuse(Verdict.IMAGE_UNDECODABLE, "the PNG has two headers")
            kept.append(data[at:end])
        elif name == b"eXIf" and not exif and length <= _MAX_EXIF:
            exif = data[at + 8 : end - 4]
        at = end
    return Essentials(b"".join(kept), exif)


def _jpeg(data: bytes) -> Essentials:
    kept = [data[:2]]
    exif = b""
    seen: set[int] = set()
    at = 2
    while (marker := data[at + 1]) != _START_OF_SCAN:
        if data[at] != 0xFF or marker == 0xFF or marker <= 0x01 or 0xD0 <= marker <= 0xD9:
            at += 1 if marker == 0xFF else 2  # fill bytes, and markers that stand alone
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + max(length, 2)
        if marker == _EXIF and not exif and data.startswith(b"Exif\0\0", at + 4):
            exif = data[at + 4 : end]
        metadata = marker in _APPS or marker == _COMMENT
        if not metadata or (marker in (_JFIF, _ADOBE) and marker not in seen):
            seen.add(marker)
            kept.append(data[at:end])
        at = end
    kept.append(data[at:])
    return Essentials(b"".join(kept), exif)


def _webp(data: bytes) -> Essentials:
    """The whole file: none of its chunks is compressed, and libwebp skips what it does not need."""
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(data):
            break
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            return Essentials(data, data[at + 8 : at + 8 + min(length, _MAX_EXIF)])
        at += 8 + length + length % 2
    return Essentials(data)
