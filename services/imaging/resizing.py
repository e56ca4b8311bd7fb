"""From a picture to the pixels that a model reads. Queries and stored images share this path."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

INTERPOLATIONS: dict[str, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}
MAX_CROP = 1024


@dataclass(frozen=True, slots=True)
class PixelRecipe:
    """Scale the shorter side to `resize` pixels, cut out the centre of `crop` x `crop`.

    Raises ValueError unless 1 <= crop <= resize, crop <= MAX_CROP, interpolation known.
    """

    resize: int
    crop: int
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize or self.crop > MAX_CROP or self.resize > 2 * MAX_CROP:
            raise ValueError(f"crop {self.crop} and resize {self.resize} do not fit")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"interpolation '{self.interpolation}': use {[*INTERPOLATIONS]}")


def to_pixels(image: Image.Image, recipe: PixelRecipe) -> Pixels:
    """Pixels uint8 [crop, crop, 3] of an RGB image, as timm's evaluation transform makes them.

    Resizes only the part that the centre crop keeps: but for rounding, the same numbers as
    resizing everything and cropping, in less time.
    """
    width, height = image.size
    short = min(width, height)
    scaled_width = recipe.resize * width // short
    scaled_height = recipe.resize * height // short
    left = round((scaled_width - recipe.crop) / 2)
    top = round((scaled_height - recipe.crop) / 2)
    across, down = width / scaled_width, height / scaled_height
    box = (
        left * across,
        top * down,
        min((left + recipe.crop) * across, width),
        min((top + recipe.crop) * down, height),
    )
    size = (recipe.crop, recipe.crop)
    return np.asarray(image.resize(size, INTERPOLATIONS[recipe.interpolation], box=box))
