"""Hostile JPEG files."""

import struct

from tests.hostile.kinds import (
    HostileImage,
    exif_bomb,
    exif_of_orientation,
    noise,
    picture,
    plain,
    saved,
)

_START = b"\xff\xd8"
_END = b"\xff\xd9"
_FRAME, _SCAN = b"\xff\xc0", b"\xff\xda"
_LARGE = (7_000, 7_000)


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def good(seed: int, **options: object) -> bytes:
    return saved(picture(seed), "JPEG", quality=85, **options)


def with_segments(seed: int, extra: bytes) -> bytes:
    """A good picture with `extra` after its first marker."""
    return _START + extra + good(seed)[2:]


def resized(data: bytes, width: int, height: int) -> bytes:
    """The same file whose header claims another size."""
    at = data.index(_FRAME) + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _exif(body: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + body)


def _second_frame(seed: int) -> bytes:
    data = good(seed)
    at = data.index(_FRAME)
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data[:end] + resized(data[at:end], 9_000, 9_000) + data[end:]


def _without(seed: int, marker: bytes) -> bytes:
    """The good picture without the first segment of `marker`."""
    data = good(seed)
    at = data.index(marker)
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def _another_process(seed: int, marker: int, precision: int = 8) -> bytes:
    data = bytearray(good(seed))
    at = data.index(_FRAME)
    data[at + 1], data[at + 4] = marker, precision
    return bytes(data)


def _noisy_scan(seed: int) -> bytes:
    data = bytearray(good(seed))
    for number, value in enumerate(noise(seed, 20)):
        data[len(data) - 3 * number - 40] = value & 0x7F
    return bytes(data)


def _many_scans(seed: int) -> bytes:
    """A progressive file that repeats its shortest scan: under 1 MB, minutes of work."""
    data = saved(plain(seed, _LARGE), "JPEG", progressive=True, subsampling=0)
    head, *parts = data.removesuffix(_END).split(_SCAN)
    shortest = min((each for each in parts if b"\xff\xc4" not in each), key=len)
    return _SCAN.join((head, *parts, *[shortest] * 4_000)) + _END


def _ycck(seed: int) -> bytes:
    data = bytearray(saved(picture(seed, mode="CMYK"), "JPEG"))
    adobe = data.index(b"Adobe")
    data[adobe + 11] = 2  # the transformation from YCCK
    return bytes(data)


def _stereo_with_a_damaged_index(seed: int) -> bytes:
    data = saved(picture(seed), "MPO", save_all=True, append_images=[picture(seed + 1)])
    at = data.index(b"MPF\0")
    return data[: at + 8] + b"\xff" * 40 + data[at + 48 :]


JPEG_FILES = (
    HostileImage(
        "jpeg-cut-in-half", lambda seed: good(seed)[: len(good(seed)) // 2], "IMAGE_TRUNCATED"
    ),
    HostileImage("jpeg-without-end", lambda seed: good(seed)[:-2], "IMAGE_TRUNCATED"),
    HostileImage(
        "jpeg-cut-in-its-header", lambda seed: good(seed)[: 30 + seed % 9], "IMAGE_TRUNCATED"
    ),
    HostileImage(
        "jpeg-signature-alone", lambda seed: b"\xff\xd8\xff" + b"\xff" * seed, "IMAGE_TRUNCATED"
    ),
    HostileImage(
        "jpeg-header-of-4000-megapixels",
        lambda seed: resized(good(seed), 65_000, 65_000),
        "IMAGE_TOO_MANY_PIXELS",
    ),
    HostileImage(
        "jpeg-header-larger-than-its-pixels",
        lambda seed: resized(good(seed), 3_000, 3_000),
        "IMAGE_TRUNCATED",
    ),
    HostileImage("jpeg-of-no-height", lambda seed: resized(good(seed), 96, 0), "IMAGE_UNDECODABLE"),
    HostileImage(
        "jpeg-of-60000-by-2",
        lambda seed: saved(plain(seed, (60_000, 2)), "JPEG"),
        "IMAGE_TOO_NARROW",
    ),
    HostileImage("jpeg-two-frames", _second_frame, "IMAGE_UNDECODABLE"),
    HostileImage("jpeg-without-frame", lambda seed: _without(seed, _FRAME), "IMAGE_UNDECODABLE"),
    HostileImage(
        "jpeg-without-quantisation", lambda seed: _without(seed, b"\xff\xdb"), "IMAGE_UNDECODABLE"
    ),
    HostileImage("jpeg-lossless", lambda seed: _another_process(seed, 0xC3), "IMAGE_UNDECODABLE"),
    HostileImage(
        "jpeg-of-twelve-bits", lambda seed: _another_process(seed, 0xC1, 12), "IMAGE_UNDECODABLE"
    ),
    HostileImage(
        "jpeg-of-noise",
        lambda seed: _START + segment(0xDB, noise(seed, 63)) + b"\0" + noise(seed, 5_000),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage("jpeg-noise-in-its-scan", _noisy_scan),
    HostileImage("jpeg-four-thousand-scans", _many_scans, "IMAGE_DECODE_TIMEOUT", heavy=True),
    HostileImage(
        "jpeg-twenty-thousand-segments",
        lambda seed: with_segments(seed, segment(0xE5, b"") * 20_000),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "jpeg-million-fill-bytes",
        lambda seed: with_segments(seed, b"\xff" * 1_000_000),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "jpeg-ten-megabytes-of-comments",
        lambda seed: with_segments(seed, segment(0xFE, bytes(65_000)) * 160),
    ),
    HostileImage(
        "jpeg-profile-in-255-parts",
        lambda seed: with_segments(
            seed,
            b"".join(
                segment(0xE2, b"ICC_PROFILE\0" + bytes((part, 255)) + bytes(60_000))
                for part in range(1, 256)
            ),
        ),
    ),
    HostileImage("jpeg-exif-bomb", lambda seed: with_segments(seed, _exif(exif_bomb()))),
    HostileImage(
        "jpeg-hundred-exif-bombs", lambda seed: with_segments(seed, _exif(exif_bomb()) * 100)
    ),
    HostileImage("jpeg-damaged-exif", lambda seed: with_segments(seed, _exif(noise(seed, 900)))),
    HostileImage(
        "jpeg-orientation-of-99", lambda seed: with_segments(seed, _exif(exif_of_orientation(99)))
    ),
    HostileImage(
        "jpeg-orientation-as-text",
        lambda seed: with_segments(seed, _exif(exif_of_orientation(6, kind=2))),
    ),
    HostileImage("jpeg-cmyk", lambda seed: saved(picture(seed, mode="CMYK"), "JPEG")),
    HostileImage("jpeg-ycck", _ycck),
    HostileImage("jpeg-grey", lambda seed: saved(picture(seed, mode="L"), "JPEG")),
    HostileImage(
        "jpeg-progressive-of-49-megapixels",
        lambda seed: saved(plain(seed, (7_000, 7_000)), "JPEG", progressive=True, subsampling=0),
        heavy=True,
    ),
    HostileImage("jpeg-and-zip", lambda seed: good(seed) + b"PK\3\4" + noise(seed, 700)),
    HostileImage(
        "jpeg-and-html",
        lambda seed: with_segments(seed, segment(0xFE, b"<script>alert(1)</script>")),
    ),
    HostileImage(
        "jpeg-and-megabytes-after-its-end", lambda seed: good(seed) + noise(seed, 5_000_000)
    ),
    HostileImage("jpeg-stereo-with-a-damaged-index", _stereo_with_a_damaged_index),
)
