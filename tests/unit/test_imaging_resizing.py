"""The pixels are those of timm's evaluation transform."""

import numpy as np
import pytest
from PIL import Image

from services.core.domain.model_spec import ModelSpec
from services.imaging.resizing import (
    MOST_SQUARES,
    PixelRecipe,
    Square,
    squares_of,
    to_pixels,
)

SIZES = [(480, 480), (640, 480), (333, 517), (257, 256), (100, 30), (224, 224), (4000, 300)]


def noise(size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (size[1] // 8 + 2, size[0] // 8 + 2, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def resize_all_then_crop(image: Image.Image, square: Square) -> np.ndarray:
    width, height = image.size
    short = min(width, height)
    scaled = (square.resize * width // short, square.resize * height // short)
    whole = np.asarray(image.resize(scaled, Image.Resampling.BICUBIC))
    top = round((scaled[1] - square.crop) / 2)
    left = round((scaled[0] - square.crop) / 2)
    return whole[top : top + square.crop, left : left + square.crop]


def rounds_alike(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Equal but for the rounding between two passes, whose order Pillow chooses by the sizes."""
    apart = np.abs(ours.astype(float) - theirs)
    return bool(apart.max() <= 2.01 and apart.mean() < 0.25)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("square", [Square(256, 224), Square(64, 64)])
def test_resizing_the_kept_part_gives_the_pixels_of_resizing_everything(
    size: tuple[int, int], square: Square
) -> None:
    pixels = to_pixels(noise(size), square)
    slow = resize_all_then_crop(noise(size), square)
    assert pixels.shape == (square.crop, square.crop, 3)
    assert pixels.dtype == np.uint8
    assert rounds_alike(pixels, slow)


@pytest.mark.parametrize("size", SIZES)
def test_the_pixels_are_those_of_timm(size: tuple[int, int]) -> None:
    from timm.data.transforms_factory import create_transform

    transform = create_transform(
        (3, 224, 224), interpolation="bicubic", crop_pct=0.875, mean=(0, 0, 0), std=(1, 1, 1)
    )
    theirs = transform(noise(size)).permute(1, 2, 0).numpy() * 255
    assert rounds_alike(to_pixels(noise(size), Square(256, 224)), theirs)


@pytest.mark.parametrize(
    ("resize", "crop", "how", "fit"),
    [
        (0, 0, "bicubic", "crop"),
        (64, 65, "bicubic", "crop"),
        (9999, 9000, "bicubic", "crop"),
        (64, 64, "magic", "crop"),
        (64, 64, "bicubic", "stretch"),
    ],
)
def test_squares_that_make_no_sense_cannot_be_made(
    resize: int, crop: int, how: str, fit: str
) -> None:
    with pytest.raises(ValueError, match=r"crop|interpolation|fit"):
        Square(resize, crop, how, fit)


@pytest.mark.parametrize("squares", [(), (Square(16, 16),) * (MOST_SQUARES + 1),
                                     (Square(1024, 1024),) * 22])  # fmt: skip
def test_recipes_without_or_with_too_many_pixels_cannot_be_made(
    squares: tuple[Square, ...],
) -> None:
    with pytest.raises(ValueError, match="squares"):
        PixelRecipe(squares)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", [224, 64])
def test_a_padded_image_is_whole_in_the_middle_of_grey(size: tuple[int, int], crop: int) -> None:
    pixels = to_pixels(noise(size), Square(crop, crop, fit="pad"))
    longer = max(size)
    width, height = (round(side * crop / longer) for side in size)
    whole = np.asarray(noise(size).resize((width, height), Image.Resampling.BICUBIC))
    left, top = (crop - width) // 2, (crop - height) // 2
    assert pixels.shape == (crop, crop, 3)
    assert np.array_equal(pixels[top : top + height, left : left + width], whole)
    outside = np.ones((crop, crop), bool)
    outside[top : top + height, left : left + width] = False
    assert (pixels[outside] == 128).all()


def test_a_line_of_pixels_is_padded_too() -> None:
    for size in ((4000, 3), (3, 4000)):
        assert to_pixels(noise(size), Square(32, 32, fit="pad")).shape == (32, 32, 3)


def spec(**fields: object) -> ModelSpec:
    values: dict[str, object] = {
        "backbone": "b",
        "weights_sha256": "ab" * 32,
        "embedding_dim": 8,
        "resize": 256,
        "crop": 224,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "precision": "fp32",
    }
    return ModelSpec(**(values | fields))  # type: ignore[arg-type]


def test_the_squares_of_a_plain_embedder_are_its_resize_and_crop() -> None:
    assert squares_of(spec()) == (Square(256, 224),)


def test_all_squares_of_an_embedder_come_from_a_picture_that_does_for_the_largest() -> None:
    cropped = squares_of(spec(resolutions=(160, 224)))
    assert [(each.resize, each.crop) for each in cropped] == [(182, 160), (256, 224)]
    assert [each.at_least for each in cropped] == [256, 256]
    padded = squares_of(spec(resolutions=(160, 224), fit="pad"))
    assert [(each.fit, each.crop, each.at_least) for each in padded] == [
        ("pad", 160, 224),
        ("pad", 224, 224),
    ]


def test_embedders_that_read_the_same_square_share_it() -> None:
    recipe = PixelRecipe.of(spec(), spec(pooling="gem"), spec(interpolation="bilinear"))
    assert recipe.squares == (Square(256, 224), Square(256, 224, "bilinear"))
    assert recipe.row_bytes == 2 * 3 * 224 * 224
