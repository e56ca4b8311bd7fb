"""Pictures of agreement: both images, hot where they agree, small enough to travel."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from services.imaging.heat_maps import MOST_BYTES, SIDE, Heated, draw_pair

WHOLE = np.array([0, 0, 1, 1], np.float32)
COLD = np.zeros((7, 7), np.float32)


def plain(colour: tuple[int, int, int], side: int = 224) -> npt.NDArray[np.uint8]:
    return np.full((side, side, 3), colour, np.uint8)


def opened(data: bytes) -> npt.NDArray[np.int16]:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), np.int16)


def halves(data: bytes) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    sheet = opened(data)
    return sheet[:, :SIDE], sheet[:, -SIDE:]


def colourfulness(pixels: npt.NDArray[np.int16]) -> float:
    return float((pixels.max(-1) - pixels.min(-1)).mean())


def test_both_pictures_are_there_whatever_their_size() -> None:
    first = Heated(plain((250, 250, 250), 160), COLD, WHOLE)
    second = Heated(plain((20, 20, 20), 336), np.zeros((12, 12), np.float32), WHOLE)
    light, dark = halves(draw_pair(first, second))
    assert light.shape == dark.shape == (SIDE, SIDE, 3)
    assert light.mean() > 100 > 30 > dark.mean()


def test_what_is_hot_glows_and_what_is_cold_is_grey() -> None:
    heat = COLD.copy()
    heat[1:3, 1:3] = 1
    left, right = halves(
        draw_pair(Heated(plain((0, 0, 255)), heat, WHOLE), Heated(plain((0, 0, 255)), COLD, WHOLE))
    )
    assert colourfulness(right) == 0
    assert colourfulness(left[48:80, 48:80]) > 50
    assert colourfulness(left[160:, 160:]) < 3


def test_more_heat_covers_more() -> None:
    found = []
    for heat in (0.0, 0.3, 0.6, 1.0):
        heated = Heated(plain((128, 128, 128)), np.full((7, 7), heat, np.float32), WHOLE)
        left, _ = halves(draw_pair(heated, heated))
        found.append(float(left[..., 0].mean() - left[..., 2].mean()))
    assert found == sorted(found)
    assert found[0] == 0


def test_a_frame_shows_what_the_model_looked_at() -> None:
    box = np.array([0.25, 0.25, 0.75, 0.75], np.float32)
    heated = Heated(plain((10, 10, 10)), COLD, box)
    left, _ = halves(draw_pair(heated, heated))
    white = (left == 255).all(-1)
    rows, columns = np.nonzero(white)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (56, 167, 56, 167)
    assert 0 < white.sum() < 4 * SIDE


@pytest.mark.parametrize("grain", [1, 2, 8])
def test_no_picture_is_too_large_to_travel(grain: int) -> None:
    rng = np.random.default_rng(grain)
    cells = rng.integers(0, 256, (224 // grain, 224 // grain, 3), np.uint8)
    heat = rng.random((37, 37), np.float32)
    heated = Heated(cells.repeat(grain, 0).repeat(grain, 1), heat, WHOLE)
    data = draw_pair(heated, heated)
    assert len(data) <= MOST_BYTES
    assert opened(data).shape == (SIDE, 2 * SIDE + 8, 3)
