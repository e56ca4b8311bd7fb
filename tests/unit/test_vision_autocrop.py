"""The box around the object is where the energy is, and cutting it out is Pillow's resize."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from services.vision.autocrop import cut_out, object_boxes
from tests.unit.vision_networks import pictures

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
BOXES = [
    (0.0, 0.0, 1.0, 1.0),
    (0.25, 0.5, 0.5, 0.75),
    (0.013, 0.32, 0.573, 0.88),
    (0.9, 0.0, 1.0, 0.1),
]


def energies(strong: list[tuple[int, int]], size: int = 8) -> Tensor:
    """Maps [1, 2, size, size] of energy 10 at the places (row, column), 0 elsewhere."""
    maps = torch.zeros(1, 2, size, size)
    for row, column in strong:
        maps[0, :, row, column] = torch.tensor([6.0, -8.0])
    return maps


def test_the_box_holds_the_strong_places_and_half_a_place_more() -> None:
    # With level 5, half of the highest, it is reached half a place before a strong one's centre.
    box = object_boxes(energies([(2, 3), (4, 5)]), 0.5)[0] * 8
    assert torch.allclose(box, torch.tensor([2.5, 1.5, 6.5, 5.5]))


def test_the_box_is_widened_to_a_square() -> None:
    box = object_boxes(energies([(3, 2), (3, 5)]), 0.5)[0] * 8
    assert torch.allclose(box, torch.tensor([1.5, 1.0, 6.5, 6.0]))


def test_the_box_stays_inside_the_picture() -> None:
    box = object_boxes(energies([(0, 2), (0, 5)]), 0.5)[0] * 8
    assert torch.allclose(box, torch.tensor([1.5, 0.0, 6.5, 5.0]))


def test_an_even_map_keeps_the_whole_picture() -> None:
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert torch.equal(object_boxes(torch.ones(1, 3, 7, 7), 0.9), whole)
    assert torch.equal(object_boxes(torch.zeros(1, 3, 7, 7), 0.9), whole)
    assert torch.equal(object_boxes(torch.ones(1, 3, 1, 1), 1.0), whole)


def test_a_higher_share_gives_a_smaller_box() -> None:
    maps = torch.randn(16, 4, 7, 7, generator=torch.Generator().manual_seed(5))
    sides = [
        object_boxes(maps, share)[:, 2] - object_boxes(maps, share)[:, 0]
        for share in (0.3, 0.6, 1.0)
    ]
    assert (sides[0] >= sides[1]).all()
    assert (sides[1] >= sides[2]).all()
    assert (sides[2] > 0).all()


def test_noise_moves_the_box_a_little() -> None:
    generator = torch.Generator().manual_seed(6)
    maps = torch.rand(64, 4, 7, 7, generator=generator)
    noisy = maps * (1 + 1e-5 * torch.randn(maps.shape, generator=generator))
    moved = (object_boxes(maps, 0.7) - object_boxes(noisy, 0.7)).abs()
    assert moved.amax() < 0.01


@pytest.mark.parametrize("side", [32, 96, 200])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_cutting_out_is_resizing_with_pillow(interpolation: str, side: int) -> None:
    images = pictures(len(BOXES), 96)
    boxes = torch.tensor(BOXES)
    raw = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    found = cut_out(raw, boxes, side, interpolation).permute(0, 2, 3, 1).numpy()
    for image, box, mine in zip(images, BOXES, found, strict=True):
        left, top, right, bottom = (96 * each for each in box)
        theirs = Image.fromarray(image).resize(
            (side, side), FILTERS[interpolation], (left, top, right, bottom)
        )
        assert np.abs(np.asarray(theirs) - mine).max() < 1.6  # Pillow rounds twice
        assert np.abs(np.asarray(theirs) - mine).mean() < 0.5


def test_every_picture_has_its_own_box() -> None:
    images = torch.from_numpy(pictures(2, 64)).permute(0, 3, 1, 2).float()
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    both = cut_out(images, boxes, 32, "bicubic")
    for place in range(2):
        alone = cut_out(images[place : place + 1], boxes[place : place + 1], 32, "bicubic")
        assert torch.allclose(both[place], alone[0], atol=1e-3)
