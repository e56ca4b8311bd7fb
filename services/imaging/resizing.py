"""From a picture to the pixels that a model reads. Queries and stored images share this path."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.core.domain.model_spec import FITS, ModelSpec, View
from services.core.domain.pixel_views import bytes_of

Pixels = npt.NDArray[np.uint8]

INTERPOLATIONS: dict[str, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}
MAX_CROP = 1024
MOST_SQUARES = 128
MOST_ROW_BYTES = 64 << 20  # of one image's pixels; those of one embedder are less than half of it
_GREY = 128  # around an image that does not fill its square


@dataclass(frozen=True, slots=True)
class Square:
    """One square of pixels out of an image, with a side of `crop` pixels.

    Fit "crop" scales the shorter side to `resize` and keeps the centre; "pad" scales the longer
    side to `crop` and puts the whole image in the middle of a grey square. A JPEG may be decoded at
    a part of its size while its shorter side keeps `at_least` pixels: 0 for what the square needs.

    Raises ValueError unless 1 <= crop <= resize, crop <= MAX_CROP, interpolation and fit known.
    """

    resize: int
    crop: int
    interpolation: str = "bicubic"
    fit: str = "crop"
    at_least: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize or self.crop > MAX_CROP or self.resize > 2 * MAX_CROP:
            raise ValueError(f"crop {self.crop} and resize {self.resize} do not fit")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"interpolation '{self.interpolation}': use {[*INTERPOLATIONS]}")
        if self.fit not in FITS:
            raise ValueError(f"fit '{self.fit}': use {[*FITS]}")
        needed = self.resize if self.fit == "crop" else self.crop
        object.__setattr__(self, "at_least", max(self.at_least, needed))


@dataclass(frozen=True, slots=True)
class PixelRecipe:
    """The squares that one decoding of an image gives, one after the other in a row of bytes.

    Raises ValueError for no square or too many, or more than MOST_ROW_BYTES.
    """

    squares: tuple[Square, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.squares) <= MOST_SQUARES or self.row_bytes > MOST_ROW_BYTES:
            raise ValueError(
                f"{len(self.squares)} squares of {self.row_bytes} bytes: at most {MOST_SQUARES} "
                f"of {MOST_ROW_BYTES} together"
            )

    @property
    def views(self) -> tuple[View, ...]:
        """How the row is split (pixel_views)."""
        return tuple(View(each.resize, each.crop) for each in self.squares)

    @property
    def row_bytes(self) -> int:
        return bytes_of(self.views)

    @classmethod
    def of(cls, *specs: ModelSpec) -> "PixelRecipe":
        """What these embedders read, each square once."""
        return cls(tuple(dict.fromkeys(each for spec in specs for each in squares_of(spec))))


def squares_of(spec: ModelSpec) -> tuple[Square, ...]:
    """The squares that an embedder reads, in the order of its views.

    They depend on nothing but its spec, so that an image has the same pixels for an embedder
    whoever else reads it. Raises ValueError for sides that are too large.
    """
    views = spec.views
    if spec.fit == "pad":
        views = tuple(View(each.crop, each.crop) for each in views)
    largest = max(each.resize for each in views)
    return tuple(
        Square(each.resize, each.crop, spec.interpolation, spec.fit, largest) for each in views
    )


def to_pixels(image: Image.Image, square: Square) -> Pixels:
    """Pixels uint8 [crop, crop, 3] of an RGB image."""
    return _padded(image, square) if square.fit == "pad" else _cropped(image, square)


def at_least(squares: Iterable[Square]) -> int:
    """Pixels of the shorter side that all of them need."""
    return max(each.at_least for each in squares)


def _cropped(image: Image.Image, square: Square) -> Pixels:
    """As timm's evaluation transform makes them.

    Resizes only the part that the centre crop keeps: but for rounding, the same numbers as
    resizing everything and cropping, in less time.
    """
    width, height = image.size
    short = min(width, height)
    scaled_width = square.resize * width // short
    scaled_height = square.resize * height // short
    left = round((scaled_width - square.crop) / 2)
    top = round((scaled_height - square.crop) / 2)
    across, down = width / scaled_width, height / scaled_height
    box = (
        left * across,
        top * down,
        min((left + square.crop) * across, width),
        min((top + square.crop) * down, height),
    )
    size = (square.crop, square.crop)
    return np.asarray(image.resize(size, INTERPOLATIONS[square.interpolation], box=box))


def _padded(image: Image.Image, square: Square) -> Pixels:
    longer = max(image.size)
    width, height = (max(1, round(side * square.crop / longer)) for side in image.size)
    left, top = (square.crop - width) // 2, (square.crop - height) // 2
    pixels = np.full((square.crop, square.crop, 3), _GREY, np.uint8)
    resized = image.resize((width, height), INTERPOLATIONS[square.interpolation])
    pixels[top : top + height, left : left + width] = np.asarray(resized)
    return pixels
