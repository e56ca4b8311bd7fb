"""Local concepts accumulation: the mean over the means of all rectangles of a map.

Srivastava, "Using contrastive learning and pseudolabels to learn representations for retail product
image classification" (2022), section 3, after Srivastava 2020. All of it is linear in the map, so
it is one fixed weight per place.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def lca_pool(maps: Tensor, average: str = "windows") -> Tensor:
    """float32 [n, c] of maps [n, c, h, w]; `average` as in lca_weights."""
    height, width = maps.shape[2:]
    weights = lca_weights(height, width, average, str(maps.device))
    places = maps.float().permute(0, 2, 3, 1).flatten(1, 2)
    # In a batch: for maps with channels last in memory some 50 times as fast as one product.
    return torch.bmm(weights.expand(len(maps), 1, -1), places)[:, 0]


@lru_cache(maxsize=1024)
def lca_weights(height: int, width: int, average: str = "windows", device: str = "cpu") -> Tensor:
    """How much each place of a map counts, float32 [height * width] row by row, of sum 1.

    Every rectangle larger than 1x1, at every position, averages what it covers. With `average`
    "windows" all of these count equally; with "sizes" first those of one size are averaged, then
    the sizes. A 1x1 map, which has no such rectangle, keeps its value.
    """
    by_size = average == "sizes"
    if height * width == 1:
        weights = np.ones((1, 1))
    else:
        # The rectangles of all sizes, less those of 1x1: each of them covers one place.
        every = np.outer(_coverage(height, by_size), _coverage(width, by_size))
        weights = every - (1 / (height * width) if by_size else 1.0)
        weights /= weights.sum()
    with torch.inference_mode(False):  # kept: training may need it where search made it
        return torch.from_numpy(weights.ravel()).float().to(device)


def _coverage(length: int, by_size: bool) -> npt.NDArray[np.float64]:
    """Of every place on a line: the sum over all segments that cover it of 1 / their length, each
    divided by the number of segments of that length where `by_size`."""
    place = np.arange(length)
    total = np.zeros(length)
    for size in range(1, length + 1):
        first = np.maximum(place - size + 1, 0)
        last = np.minimum(place, length - size)
        total += (last - first + 1) / size / (length - size + 1 if by_size else 1)
    return total
