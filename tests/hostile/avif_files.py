"""Hostile AVIF files."""

import struct

from tests.hostile.kinds import HostileImage, exif_of_orientation, noise, picture, plain, saved


def good(seed: int, **options: object) -> bytes:
    return saved(picture(seed), "AVIF", speed=10, **options)


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


def file_type(brand: bytes = b"avif", *others: bytes) -> bytes:
    return box(b"ftyp", brand + bytes(4) + b"".join(others or (b"avif", b"mif1", b"miaf")))


def resized(data: bytes, width: int, height: int) -> bytes:
    """The same file whose boxes claim another size."""
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def _damaged_exif(seed: int) -> bytes:
    exif = exif_of_orientation(3) + b"MakerNote"
    return good(seed, exif=exif).replace(b"II*\0", b"??*\0")


def _blank(seed: int) -> bytes:
    """Noughts where the picture's bytes should be."""
    data = good(seed)
    at = data.index(b"mdat") + 4
    return data[:at] + bytes(len(data) - at)


def _nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = box(b"ipco", body)
    return box(b"meta", bytes(4) + box(b"iprp", body))


def _grid(seed: int) -> bytes:
    """The picture's item calls itself a grid of tiles that are not there."""
    data = good(seed)
    at = data.index(b"av01", data.index(b"infe"))
    return data[:at] + b"grid" + data[at + 4 :]


def _sizes(count: int) -> bytes:
    body = box(b"ispe", bytes(4) + struct.pack(">II", 64, 64)) * count
    return box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", body)))


AVIF_FILES = (
    HostileImage(
        "avif-cut-in-half", lambda seed: good(seed)[: len(good(seed)) // 2], "IMAGE_TRUNCATED"
    ),
    HostileImage("avif-cut-at-its-end", lambda seed: good(seed)[:-9], "IMAGE_TRUNCATED"),
    HostileImage(
        "avif-type-alone",
        lambda seed: file_type(b"avif", b"avif", noise(seed, 4)),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "avif-header-of-4000-megapixels",
        lambda seed: resized(good(seed), 65_000, 65_000),
        "IMAGE_TOO_MANY_PIXELS",
    ),
    HostileImage(
        "avif-header-of-the-largest-numbers",
        lambda seed: resized(good(seed), 0xFFFF_FFFF, 0xFFFF_FFFF),
        "IMAGE_TOO_MANY_PIXELS",
    ),
    # Decoders scale an AVIF picture to the size that its boxes name.
    HostileImage(
        "avif-header-smaller-than-its-picture",
        lambda seed: resized(saved(plain(seed, (900, 900)), "AVIF", speed=10), 16, 16),
    ),
    HostileImage(
        "avif-header-larger-than-its-picture", lambda seed: resized(good(seed), 2_000, 2_000)
    ),
    HostileImage(
        "avif-header-much-smaller-than-its-picture",
        lambda seed: resized(saved(plain(seed, (9_000, 9_000)), "AVIF", speed=10), 16, 16),
        "IMAGE_UNDECODABLE",
        heavy=True,
    ),
    HostileImage("avif-of-no-height", lambda seed: resized(good(seed), 96, 0), "IMAGE_UNDECODABLE"),
    HostileImage(
        "avif-of-one-by-60000", lambda seed: resized(good(seed), 1, 60_000), "IMAGE_TOO_NARROW"
    ),
    HostileImage("avif-grid-without-tiles", _grid, "IMAGE_UNDECODABLE"),
    HostileImage(
        "avif-boxes-in-boxes",
        lambda seed: file_type() + _nested(5_000) + noise(seed, 0) + box(b"free", noise(seed, 9)),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "avif-hundred-thousand-sizes",
        lambda seed: file_type() + _sizes(100_000) + box(b"free", noise(seed, 9)),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "avif-box-of-no-length",
        lambda seed: file_type() + struct.pack(">I4s", 4, b"meta") + noise(seed, 99),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage(
        "avif-box-beyond-the-end",
        lambda seed: file_type() + struct.pack(">I4sQ", 1, b"meta", 1 << 62) + noise(seed, 99),
        "IMAGE_TRUNCATED",
    ),
    HostileImage(
        "avif-damaged-picture",
        lambda seed: _blank(seed),
        "IMAGE_UNDECODABLE",
    ),
    HostileImage("avif-damaged-exif", _damaged_exif),
    HostileImage(
        "avif-sequence", lambda seed: good(seed, save_all=True, append_images=[picture(seed + 1)])
    ),
    HostileImage(
        "avif-with-alpha", lambda seed: saved(picture(seed, mode="RGBA"), "AVIF", speed=10)
    ),
    HostileImage(
        "avif-of-49-megapixels",
        lambda seed: saved(plain(seed, (7_000, 7_000)), "AVIF", quality=10, speed=10),
        heavy=True,
    ),
    HostileImage(
        "heic",
        lambda seed: file_type(b"heic", b"mif1", b"heic") + noise(seed, 900),
        "IMAGE_FORMAT_UNSUPPORTED",
    ),
    HostileImage(
        "heic-of-another-brand",
        lambda seed: file_type(b"mif1", b"heix") + noise(seed, 900),
        "IMAGE_FORMAT_UNSUPPORTED",
    ),
    HostileImage(
        "video-mp4",
        lambda seed: file_type(b"isom", b"mp42") + noise(seed, 900),
        "IMAGE_FORMAT_UNSUPPORTED",
    ),
)
