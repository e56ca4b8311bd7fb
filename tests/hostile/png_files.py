"""Hostile PNG files."""

import struct
import zlib

from PIL import Image

from tests.hostile.kinds import (
    HostileImage,
    exif_bomb,
    exif_of_orientation,
    noise,
    picture,
    plain,
    saved,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END_BYTES = 12
_AFTER_HEADER = 33  # signature and IHDR


def chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def png(width: int, height: int, pixels: bytes, *, colour: int = 2, extra: bytes = b"") -> bytes:
    """A file whose header and whose pixels need not agree."""
    body = chunk(b"IDAT", zlib.compress(pixels, 1)) + chunk(b"IEND")
    return SIGNATURE + header(width, height, colour=colour) + extra + body


def good(seed: int, **options: object) -> bytes:
    return saved(picture(seed), "PNG", **options)


def with_chunk(seed: int, extra: bytes) -> bytes:
    """A good picture with `extra` after its header."""
    data = good(seed)
    return data[:_AFTER_HEADER] + extra + data[_AFTER_HEADER:]


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :]


def _bomb(length: int = 100_000_000) -> bytes:
    squeeze = zlib.compressobj(9)
    piece = bytes(1_000_000)
    return b"".join(squeeze.compress(piece) for _ in range(length // len(piece))) + squeeze.flush()


def _split_pixels(seed: int) -> bytes:
    """Every byte of the pixels in a chunk of its own."""
    packed = zlib.compress(b"".join(b"\0" + noise(seed + row, 96) for row in range(32)))
    pieces = b"".join(chunk(b"IDAT", packed[at : at + 1]) for at in range(len(packed)))
    return SIGNATURE + header(32, 32) + pieces + chunk(b"IEND")


def _interlaced(seed: int) -> bytes:
    """Adam7 by hand, 1 x 1 being the only size whose passes are one."""
    body = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1)
    pixels = zlib.compress(b"\0" + noise(seed, 3))
    return SIGNATURE + chunk(b"IHDR", body) + chunk(b"IDAT", pixels) + chunk(b"IEND")


def _no_palette(seed: int) -> bytes:
    return png(16, 16, (b"\0" + bytes(16)) * 16 + noise(seed, 4), colour=3)


def _animated(seed: int) -> bytes:
    frames = [picture(seed + number) for number in (1, 2)]
    return good(seed, save_all=True, append_images=frames)


def _deep(seed: int) -> bytes:
    return saved(Image.frombytes("I;16", (16, 16), noise(seed, 512)), "PNG")


_TEXT_BOMB = b"x\0\0" + _bomb(50_000_000)

PNG_FILES = (
    HostileImage(
        "png-header-of-3600-megapixels",
        lambda seed: png(60_000, 60_000, noise(seed, 99)),
        "IMAGE_TOO_MANY_PIXELS",
    ),
    HostileImage(
        "png-just-over-50-megapixels",
        lambda seed: png(7_072, 7_072, noise(seed, 99)),
        "IMAGE_TOO_MANY_PIXELS",
    ),
    HostileImage(
        "png-of-the-largest-numbers",
        lambda seed: png(0xFFFF_FFFF, 0xFFFF_FFFF, noise(seed, 9)),
        "IMAGE_TOO_MANY_PIXELS",
    ),
    HostileImage(
        "png-of-49-megapixels-with-alpha",
        lambda seed: saved(plain(seed, (7_000, 7_000), "RGBA"), "PNG", compress_level=1),
        heavy=True,
    ),
    HostileImage(
        "png-header-larger-than-its-pixels",
        lambda seed: png(5_000, 5_000, noise(seed, 20_000)),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "png-header-smaller-than-its-pixels",
        lambda seed: (
            SIGNATURE
            + header(8, 8)
            + chunk(b"IDAT", _bomb())
            + chunk(b"tEXt", b"seed\0%d" % seed)
            + chunk(b"IEND")
        ),
    ),
    HostileImage("png-of-no-width", lambda seed: png(0, 50, noise(seed, 9)), "IMAGE_UNDECODABLE"),
    HostileImage(
        "png-of-one-by-60000",
        lambda seed: saved(plain(seed, (1, 60_000)), "PNG"),
        "IMAGE_TOO_NARROW",
    ),
    HostileImage(
        "png-cut-in-half", lambda seed: good(seed)[: len(good(seed)) // 2], "IMAGE_TRUNCATED"
    ),
    HostileImage("png-without-end", lambda seed: good(seed)[:-END_BYTES], "IMAGE_TRUNCATED"),
    HostileImage("png-signature-alone", lambda seed: SIGNATURE + noise(seed, 6), "IMAGE_TRUNCATED"),
    HostileImage(
        "png-chunk-of-four-gigabytes",
        lambda seed: with_chunk(seed, b"\xff\xff\xff\xfftEXt" + bytes(9)),
        "IMAGE_TRUNCATED",
    ),
    HostileImage(
        "png-wrong-checksum-of-pixels",
        lambda seed: _flipped(good(seed), len(good(seed)) - END_BYTES - 1),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "png-wrong-checksum-of-header",
        lambda seed: _flipped(good(seed), _AFTER_HEADER - 1),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "png-wrong-checksum-of-a-text",
        lambda seed: with_chunk(seed, _flipped(chunk(b"tEXt", b"a\0b"), 13)),
    ),
    HostileImage(
        "png-two-headers",
        lambda seed: with_chunk(seed, header(30_000, 30_000)),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "png-text-before-header",
        lambda seed: SIGNATURE + chunk(b"tEXt", b"a\0b") + good(seed)[8:],
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "png-unknown-colours",
        lambda seed: png(8, 8, noise(seed, 200), colour=7),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage("png-palette-missing", _no_palette),
    HostileImage(
        "png-pixels-that-do-not-inflate",
        lambda seed: SIGNATURE + header(8, 8) + chunk(b"IDAT", noise(seed, 99)) + chunk(b"IEND"),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "png-without-pixels",
        lambda seed: SIGNATURE + header(8, 8 + seed % 50) + chunk(b"IEND"),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage("png-pixels-in-chunks-of-a-byte", _split_pixels),
    HostileImage("png-profile-bomb", lambda seed: with_chunk(seed, chunk(b"iCCP", _TEXT_BOMB))),
    HostileImage("png-text-bomb", lambda seed: with_chunk(seed, chunk(b"zTXt", _TEXT_BOMB) * 40)),
    HostileImage(
        "png-international-text-bomb",
        lambda seed: with_chunk(seed, chunk(b"iTXt", b"x\0\1\0\0\0" + _TEXT_BOMB[3:])),
    ),
    HostileImage(
        "png-text-of-ten-megabytes",
        lambda seed: with_chunk(seed, chunk(b"tEXt", b"x\0" + b"y" * 10_000_000)),
    ),
    HostileImage(
        "png-hundred-thousand-chunks",
        lambda seed: with_chunk(seed, chunk(b"tEXt", b"x\0y") * 100_000),
    ),
    HostileImage("png-exif-bomb", lambda seed: with_chunk(seed, chunk(b"eXIf", exif_bomb()))),
    HostileImage(
        "png-orientation-of-77",
        lambda seed: with_chunk(seed, chunk(b"eXIf", exif_of_orientation(77))),
    ),
    HostileImage(
        "png-damaged-exif", lambda seed: with_chunk(seed, chunk(b"eXIf", noise(seed, 500)))
    ),
    HostileImage("png-animated", _animated),
    HostileImage("png-interlaced-of-one-pixel", _interlaced),
    HostileImage("png-of-sixteen-bits", _deep),
    HostileImage("png-of-one-bit", lambda seed: saved(picture(seed, mode="1"), "PNG")),
    HostileImage("png-grey-with-alpha", lambda seed: saved(picture(seed, mode="LA"), "PNG")),
    HostileImage(
        "png-palette-with-alpha",
        lambda seed: saved(picture(seed).quantize(9), "PNG", transparency=bytes(range(9))),
    ),
    HostileImage("png-and-zip", lambda seed: good(seed) + b"PK\3\4" + noise(seed, 500)),
)
