"""What pooling by local concepts accumulation costs beside plain average pooling."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from services.vision.lca import lca_pool
from tests.bench.figures import Figure, Outcome, at_most
from tests.bench.quantiles import median, timed

_BATCH = 32
_CHANNELS = 2048
_SIDE = 7
_ROUNDS = 300
_WARM_UP = 20


def lca(data: Path | None) -> Iterator[Outcome]:
    """Maps [32, 2048, 7, 7] in both layouts in memory, on one thread as in a lane of a worker.

    Both poolings take turns, so that both meet the same load."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        maps = torch.randn(
            (_BATCH, _CHANNELS, _SIDE, _SIDE), generator=torch.Generator().manual_seed(1)
        )
        layouts = {
            "channels last": maps.contiguous(memory_format=torch.channels_last),
            "channels first": maps,
        }
        for layout, each in layouts.items():
            yield from _compared(each, layout)
        difference = (lca_pool(maps) - _loops(maps)).abs().max().item()
        yield Figure(
            "LCA against the loops, largest difference x 1e5", 1e5 * difference, "", at_most(1)
        )
    finally:
        torch.set_num_threads(threads)


def _compared(maps: Tensor, layout: str) -> Iterator[Figure]:
    averages: list[float] = []
    poolings: list[float] = []
    with torch.inference_mode():
        for _ in range(_WARM_UP + _ROUNDS):
            averages.append(timed(_average, maps)[0])
            poolings.append(timed(lca_pool, maps)[0])
    average, pooling = median(averages[_WARM_UP:]), median(poolings[_WARM_UP:])
    yield Figure(f"LCA against average pooling, {layout}", pooling / average, "times", at_most(1.5))
    yield Figure(f"average pooling, {layout}, p50", average, "ms")


def _average(maps: Tensor) -> Tensor:
    return maps.mean((2, 3))


def _loops(maps: Tensor) -> Tensor:
    """The mean over the means of all rectangles larger than 1x1, one after the other."""
    places = range(_SIDE)
    means = [
        maps[:, :, top : bottom + 1, left : right + 1].mean((2, 3))
        for top in places
        for bottom in places[top:]
        for left in places
        for right in places[left:]
        if (top, left) != (bottom, right)
    ]
    return torch.stack(means).mean(0)
