"""Width and height that the header of a picture claims, without decoding anything.

A small file may claim to be huge; a browser that decodes it would fill the memory.
"""

import struct

_NO_FRAME = {0xC4, 0xC8, 0xCC}  # markers among the JPEG frame headers that are none


def picture_size(data: bytes, kind: str) -> tuple[int, int] | None:
    """(width, height) of a jpeg, png, webp or avif; None where the header does not say."""
    try:
        match kind:
            case "png":
                return _ints(">II", data, 16) if data[12:16] == b"IHDR" else None
            case "jpeg":
                return _jpeg(data)
            case "webp":
                return _webp(data)
            case "avif":
                return _avif(data)
    except (struct.error, IndexError):
        pass
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = _ints(">HH", data, at + 5)
            return width, height
        if marker == 0xFF:  # a fill byte
            at += 1
        elif 0xD0 <= marker <= 0xD9 or marker == 0x01:  # markers without a length
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    match data[12:16]:
        case b"VP8 ":
            width, height = _ints("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width = int.from_bytes(data[24:27], "little") + 1
            return width, int.from_bytes(data[27:30], "little") + 1
    return None


def _avif(data: bytes) -> tuple[int, int] | None:
    """The largest of the sizes that its image properties name."""
    sizes = []
    at = data.find(b"ispe")
    while at >= 0:
        sizes.append(_ints(">II", data, at + 8))
        at = data.find(b"ispe", at + 4)
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _ints(layout: str, data: bytes, at: int) -> tuple[int, int]:
    first, second = struct.unpack_from(layout, data, at)
    return first, second
