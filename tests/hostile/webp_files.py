"""Hostile WebP files."""

import struct

from tests.hostile.kinds import HostileImage, exif_of_orientation, noise, picture, plain, saved

_HUGE = 16_384
# Of 64 x 64 pixels, whose first partition is half a megabyte long.
_KEY_FRAME = b"\xf0\xff\xff\x9d\x01\x2a\x40\0\x40\0"


def good(seed: int, **options: object) -> bytes:
    return saved(picture(seed), "WEBP", **options)


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def canvas(width: int, height: int, flags: int = 0) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return chunk(b"VP8X", bytes((flags, 0, 0, 0)) + size)


def _claims(seed: int, size: int) -> bytes:
    """The same file that claims another length of all that follows."""
    data = good(seed)
    return data[:4] + struct.pack("<I", size) + data[8:]


def _on_canvas(seed: int, width: int, height: int) -> bytes:
    return riff(canvas(width, height), good(seed)[12:])


def _animated(seed: int, size: tuple[int, int] = (96, 80)) -> bytes:
    frames = [plain(seed + number, size) for number in (1, 2)]
    first = plain(seed, size)
    return saved(first, "WEBP", save_all=True, append_images=frames, quality=1, method=0)


WEBP_FILES = (
    HostileImage(
        "webp-cut-in-half", lambda seed: good(seed)[: len(good(seed)) // 2], "IMAGE_TRUNCATED"
    ),
    HostileImage(
        "webp-lossless-cut-in-half",
        lambda seed: good(seed, lossless=True)[: len(good(seed, lossless=True)) // 2],
        "IMAGE_TRUNCATED",
    ),
    HostileImage(
        "webp-longer-than-the-file", lambda seed: _claims(seed, 1 << 30), "IMAGE_TRUNCATED"
    ),
    HostileImage(
        "webp-shorter-than-its-picture", lambda seed: _claims(seed, 40), "IMAGE_UNDECODABLE"
    ),
    HostileImage(
        "webp-canvas-of-268-megapixels",
        lambda seed: _on_canvas(seed, _HUGE, _HUGE),
        "IMAGE_TOO_MANY_PIXELS",
    ),
    HostileImage(
        "webp-canvas-of-281-terapixels",
        lambda seed: _on_canvas(seed, 1 << 24, 1 << 24),
        "IMAGE_TOO_MANY_PIXELS",
    ),
    HostileImage(
        "webp-canvas-smaller-than-its-picture",
        lambda seed: _on_canvas(seed, 9, 9),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "webp-canvas-larger-than-its-picture",
        lambda seed: _on_canvas(seed, 5_000, 5_000),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "webp-animation-without-frames",
        lambda seed: riff(canvas(64, 64, 2), chunk(b"ANIM", noise(seed, 6))),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "webp-without-picture",
        lambda seed: riff(chunk(b"EXIF", noise(seed, 40))),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "webp-lossy-without-its-partitions",
        lambda seed: riff(chunk(b"VP8 ", _KEY_FRAME + noise(seed, 900))),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "webp-lossless-noise",
        lambda seed: riff(chunk(b"VP8L", b"\x2f\x3f\xc0\x0f\0" + noise(seed, 900))),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "webp-damaged-exif",
        lambda seed: good(seed, exif=b"Exif\0\0" + noise(seed, 500)),
    ),
    HostileImage("webp-orientation-of-0", lambda seed: good(seed, exif=exif_of_orientation(0))),
    HostileImage("webp-megabytes-of-xmp", lambda seed: good(seed, xmp=noise(seed, 5_000_000))),
    HostileImage("webp-animated", _animated),
    HostileImage(
        "webp-of-49-megapixels",
        lambda seed: saved(plain(seed, (7_000, 7_000)), "WEBP", quality=1, method=0),
        heavy=True,
    ),
    HostileImage(
        "webp-animated-of-49-megapixels",
        lambda seed: _animated(seed, (7_000, 7_000)),
        "IMAGE_MEMORY_EXCEEDED",
        heavy=True,
    ),
    HostileImage(
        "webp-chunks-without-end",
        lambda seed: riff(canvas(64, 64), chunk(b"JUNK", b"") * 300_000, noise(seed, 9)),
        "IMAGE_UNDECODABLE",
    ),
)
