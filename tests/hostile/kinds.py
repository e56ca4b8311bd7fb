"""What an entry of the corpus is, and the pictures that entries are made of."""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

ACCEPTED = ""


@dataclass(frozen=True, slots=True)
class HostileImage:
    """`make(seed)` gives the bytes, other ones for another seed; `verdict` is the reason of the
    refusal, or ACCEPTED. `heavy` ones take seconds, or hundreds of megabytes, to decode.
    """

    name: str
    make: Callable[[int], bytes]
    verdict: str = ACCEPTED
    heavy: bool = False


def picture(seed: int, size: tuple[int, int] = (96, 80), mode: str = "RGB") -> Image.Image:
    """A small picture that differs from seed to seed and is no plain colour."""
    noise = Image.frombytes("RGB", (12, 10), random.Random(seed).randbytes(360))
    return noise.resize(size, Image.Resampling.BICUBIC).convert(mode)


def plain(seed: int, size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """A large picture of one colour: few bytes, many pixels."""
    colour = random.Random(seed).randrange(256)
    if mode in ("L", "P"):
        return Image.new(mode, size, colour)
    return Image.new(mode, size, (colour, 90, 200, 120)[: len(mode)])


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The file that Pillow writes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(seed: int, length: int) -> bytes:
    """Bytes without any meaning."""
    return random.Random(seed).randbytes(length)


def exif_of_orientation(value: int, kind: int = 3) -> bytes:
    """An EXIF block with one entry: the orientation `value`, of the TIFF type `kind`."""
    entry = (0x0112).to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little")
    head = b"II*\0" + (8).to_bytes(4, "little") + (1).to_bytes(2, "little")
    return head + entry + value.to_bytes(4, "little") + bytes(4)


def exif_bomb() -> bytes:
    """Under 64 KB of EXIF: 5,000 entries that all point to the same 60,000 bytes."""
    entries = b"".join(
        (0x9000 + number).to_bytes(2, "little")
        + b"\7\0"
        + (60_000).to_bytes(4, "little")
        + bytes(4)
        for number in range(5_000)
    )
    return b"II*\0" + (8).to_bytes(4, "little") + (5_000).to_bytes(2, "little") + entries + bytes(4)
