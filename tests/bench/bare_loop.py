"""The least that embedding files costs: read, decode, run the model; nothing stored or searched."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from services.embedding.forward_gate import Embedded, ForwardGate
from services.imaging.decode_pool import DecodePool
from services.imaging.look_ahead import in_order
from services.imaging.resizing import PixelRecipe, Pixels
from services.vision.models import builtin_model


@dataclass(frozen=True, slots=True)
class Setting:
    """`lanes` forward passes side by side of one thread each, `batch` images in a pass."""

    workers: int
    lanes: int
    batch: int


class BareLoop:
    """The default model, loaded once. Use `close` or a with block around `timed`."""

    def __init__(self) -> None:
        spec, load = builtin_model("base")
        self._recipe = PixelRecipe.of(spec)
        self._embedder = load()

    def images_per_second(self, files: Sequence[Path], setting: Setting) -> float:
        """Wall clock over all files; children are started and the model is warm before."""
        gate = ForwardGate(setting.lanes, prepare=lambda: torch.set_num_threads(1))
        with DecodePool(setting.workers, reserved=0) as pool:
            self._run(files[: 4 * setting.batch], setting, pool, gate)
            started = time.perf_counter()
            done = self._run(files, setting, pool, gate)
            seconds = time.perf_counter() - started
        gate.close()
        return done / seconds

    def _run(
        self, files: Sequence[Path], setting: Setting, pool: DecodePool, gate: ForwardGate
    ) -> int:
        done = 0
        under_way: deque[Future[Embedded]] = deque()
        pixels = self._pixels(files, setting, pool)
        while batch := list(islice(pixels, setting.batch)):
            under_way.append(gate.submit(self._embedder.embed, np.stack(batch), urgent=False))
            if len(under_way) > setting.lanes:
                done += len(under_way.popleft().result()[0])
        return done + sum(len(each.result()[0]) for each in under_way)

    def _pixels(
        self, files: Sequence[Path], setting: Setting, pool: DecodePool
    ) -> Iterator[Pixels]:
        ahead = 2 * setting.batch + 2 * setting.workers
        for each in in_order(
            files, lambda file: pool.submit(file.read_bytes(), self._recipe), ahead
        ):
            yield each.result()
