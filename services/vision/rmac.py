"""R-MAC: the maxima of regions of a map, each brought to length 1 and summed.

Tolias, Sicre, Jegou, "Particular object retrieval with integral max-pooling of CNN activations"
(2016), section 3.2; whitening of every region as in Gordo et al., "End-to-end learning of deep
visual representations for image retrieval" (2017), section 3.1.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

_OVERLAP = 0.4  # of neighbouring regions along the longer side, as in the paper


class Region(NamedTuple):
    """A square of places of a map: its first row and column, and its side."""

    top: int
    left: int
    side: int


class RegionWhitening(NamedTuple):
    """What every region goes through: (x - mean) @ matrix. mean [c], matrix [c, d]."""

    mean: Tensor
    matrix: Tensor


def rmac_regions(height: int, width: int, levels: int) -> list[Region]:
    """Level l has l regions along the shorter side of the map, each 2 / (l + 1) of it wide, evenly
    spaced; along the longer side as many more as overlap by 40% at level 1."""
    short, long = min(height, width), max(height, width)
    more = _along(short, long) - 1
    regions = []
    for level in range(1, levels + 1):
        side = max(1, 2 * short // (level + 1))
        rows = _starts(height, side, level + (more if height > width else 0))
        columns = _starts(width, side, level + (more if width > height else 0))
        regions += [Region(top, left, side) for top in rows for left in columns]
    return regions


def rmac_pool(maps: Tensor, levels: int, whitening: RegionWhitening | None = None) -> Tensor:
    """float32 [n, c] of length 1 of maps [n, c, h, w]; [n, d] with whitening."""
    values = maps.float()
    total: Tensor | None = None
    height, width = values.shape[2:]
    for top, left, side in rmac_regions(height, width, levels):
        best = values[:, :, top : top + side, left : left + side].amax((2, 3))
        vector = normalize(best, dim=1)
        if whitening is not None:
            vector = normalize((vector - whitening.mean) @ whitening.matrix, dim=1)
        total = vector if total is None else total + vector
    if total is None:
        raise ValueError("R-MAC needs at least one level")
    return normalize(total, dim=1)


def _along(short: int, long: int) -> int:
    """How many squares of side `short` along `long` come nearest to the overlap."""
    if short == long:
        return 1
    counts = torch.arange(2, 2 + long)
    steps = (long - short) / (counts - 1)
    return int(counts[((short - steps) / short - _OVERLAP).abs().argmin()])


def _starts(length: int, side: int, count: int) -> list[int]:
    if count == 1:
        return [(length - side) // 2]
    return [place * (length - side) // (count - 1) for place in range(count)]
