"""The pixels are those of timm's evaluation transform."""

import numpy as np
import pytest
from PIL import Image

from services.imaging.resizing import PixelRecipe, to_pixels

SIZES = [(480, 480), (640, 480), (333, 517), (257, 256), (100, 30), (224, 224), (4000, 300)]


def noise(size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (size[1] // 8 + 2, size[0] // 8 + 2, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def resize_all_then_crop(image: Image.Image, recipe: PixelRecipe) -> np.ndarray:
    width, height = image.size
    short = min(width, height)
    scaled = (recipe.resize * width // short, recipe.resize * height // short)
    whole = np.asarray(image.resize(scaled, Image.Resampling.BICUBIC))
    top = round((scaled[1] - recipe.crop) / 2)
    left = round((scaled[0] - recipe.crop) / 2)
    return whole[top : top + recipe.crop, left : left + recipe.crop]


def rounds_alike(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Equal but for the rounding between two passes, whose order Pillow chooses by the sizes."""
    apart = np.abs(ours.astype(float) - theirs)
    return bool(apart.max() <= 2.01 and apart.mean() < 0.25)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("recipe", [PixelRecipe(256, 224), PixelRecipe(64, 64)])
def test_resizing_the_kept_part_gives_the_pixels_of_resizing_everything(
    size: tuple[int, int], recipe: PixelRecipe
) -> None:
    pixels = to_pixels(noise(size), recipe)
    slow = resize_all_then_crop(noise(size), recipe)
    assert pixels.shape == (recipe.crop, recipe.crop, 3)
    assert pixels.dtype == np.uint8
    assert rounds_alike(pixels, slow)


@pytest.mark.parametrize("size", SIZES)
def test_the_pixels_are_those_of_timm(size: tuple[int, int]) -> None:
    from timm.data.transforms_factory import create_transform

    transform = create_transform(
        (3, 224, 224), interpolation="bicubic", crop_pct=0.875, mean=(0, 0, 0), std=(1, 1, 1)
    )
    theirs = transform(noise(size)).permute(1, 2, 0).numpy() * 255
    assert rounds_alike(to_pixels(noise(size), PixelRecipe(256, 224)), theirs)


@pytest.mark.parametrize(
    ("resize", "crop", "how"),
    [(0, 0, "bicubic"), (64, 65, "bicubic"), (9999, 9000, "bicubic"), (64, 64, "magic")],
)
def test_recipes_that_make_no_sense_cannot_be_made(resize: int, crop: int, how: str) -> None:
    with pytest.raises(ValueError, match=r"crop|interpolation"):
        PixelRecipe(resize, crop, how)
