"""What embedding a shard with two embedders costs beyond one decoding and both forward passes."""

import hashlib
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil

from services.core.adapters.file_objects import FileObjects
from services.core.domain.keys import image_key
from services.core.domain.model_spec import ModelSpec
from services.core.messages import EmbedShard
from services.embedding.forward_gate import Embedded
from services.embedding.handlers import BulkEmbedder
from services.embedding.model_host import HostedEmbedder, ModelHost
from services.embedding.models import make_gate
from services.embedding.shared_pixels import SharedPixels
from services.imaging.decode_pool import DecodePool
from services.imaging.look_ahead import in_order
from services.imaging.resizing import PixelRecipe, Pixels
from services.local.settings import LocalSettings
from services.vision.models import builtin_model, load_embedder
from tests.bench.catalogues import choose_catalog
from tests.bench.figures import Figure, Outcome, at_most
from tests.bench.quantiles import median

_IMAGES = 256  # a shard
_BATCH = 8
_ROUNDS = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the clock, and of processor time of this process and its decoders."""

    wall: float
    processor: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.processor + other.processor)

    def over(self, other: "Cost") -> "Cost":
        """How many times the other it is."""
        return Cost(self.wall / other.wall, self.processor / other.processor)


@dataclass(frozen=True, slots=True)
class Bench:
    """Two embedders in this process, and a shard of stored images."""

    objects: FileObjects
    pool: DecodePool
    host: ModelHost
    specs: tuple[ModelSpec, ModelSpec]
    sha256s: tuple[str, ...]

    def shard(self, *specs: ModelSpec) -> Cost:
        """Of embedding it with these."""
        bulk = BulkEmbedder(self.objects, self.pool, self.host, _BATCH)
        message = EmbedShard(
            id="bench",
            operation="bench",
            revision=1,
            sequence=0,
            sha256s=self.sha256s,
            embedders=tuple(each.digest for each in specs),
            embeddings=tuple(f"embeddings/{each.digest}" for each in specs),
        )
        try:
            cost, outcome = self._measured(lambda: bulk.embed_shard(message))
        finally:
            bulk.close()
        if len(outcome.sha256s) != len(self.sha256s):
            raise ValueError(f"images were refused: {outcome.refused[:3]}")
        return cost

    def decode(self, recipe: PixelRecipe) -> tuple[Cost, list[Pixels]]:
        """Of reading and decoding every image; and their pixels."""

        def run() -> list[Pixels]:
            files = (self.objects.get(image_key(each)) for each in self.sha256s)
            ahead = 4 * _BATCH
            results = in_order(files, lambda data: self.pool.submit(data, recipe), ahead)
            return [each.result() for each in results]

        return self._measured(run)

    def forward(self, spec: ModelSpec, batches: Sequence[Pixels]) -> Cost:
        """Of the passes over all batches."""
        with self.host.embedders([spec.digest]) as (embedder,):
            return self._measured(lambda: _pass_all(embedder, batches))[0]

    def _measured(self, call: Callable[[], T]) -> tuple[Cost, T]:
        before, started = self._processor_seconds(), time.perf_counter()
        result = call()
        wall = time.perf_counter() - started
        return Cost(wall, self._processor_seconds() - before), result

    def _processor_seconds(self) -> float:
        times = [psutil.Process(pid).cpu_times() for pid in (os.getpid(), *self.pool.pids)]
        return sum(each.user + each.system for each in times)


def ensemble(data: Path | None) -> Iterator[Outcome]:
    """The default model, and the same backbone at other resolutions, which costs about as much.

    Each round measures the whole and its parts one after the other, so that all meet the same load.
    """
    rounds: list[tuple[Cost, ...]] = []
    with ExitStack() as opened:
        bench = _open(choose_catalog(data).product_images(_IMAGES), opened)
        for _ in range(_ROUNDS + 1):
            rounds.append(_round(bench))
        images = len(bench.sha256s)
    rounds = rounds[1:]  # the first one warms up
    ratios = [whole.over(decoding + one + two) for whole, decoding, one, two, _ in rounds]
    apart = [whole.over(each) for whole, *_, each in rounds]
    name = "two members over one decoding and both forwards"
    yield Figure(name, median([each.wall for each in ratios]), "x", at_most(1.05))
    yield Figure(f"{name}, processor time", median([each.processor for each in ratios]), "x")
    yield Figure("two members over a shard for each", median([each.wall for each in apart]), "x")
    names = ("the whole", "decoding", "first forward", "second forward")
    for name, costs in zip(names, zip(*(each[:4] for each in rounds), strict=True), strict=True):
        rate = images / median([each.wall for each in costs])
        yield Figure(f"two members: {name}", rate, "images/s")


def _round(bench: Bench) -> tuple[Cost, ...]:
    """The shard with both embedders, one decoding, each forward, and a shard for each."""
    shared = SharedPixels(bench.specs)
    decoding, rows = bench.decode(shared.recipe)
    passes = [
        bench.forward(spec, _batches([shared.part(row, place) for row in rows]))
        for place, spec in enumerate(bench.specs)
    ]
    whole = bench.shard(*bench.specs)
    first, second = (bench.shard(each) for each in bench.specs)
    return whole, decoding, *passes, first + second


def _open(files: Sequence[Path], opened: ExitStack) -> Bench:
    objects = FileObjects(Path(opened.enter_context(tempfile.TemporaryDirectory())))
    sha256s = tuple(_store(objects, each.read_bytes()) for each in files)
    pool = opened.enter_context(DecodePool(len(os.sched_getaffinity(0)), reserved=0))
    gate = make_gate(LocalSettings(data=Path("unused")))
    opened.callback(gate.close)
    host = ModelHost(load_embedder, gate)
    base = builtin_model("base")[0]
    specs = (base, replace(base, resolutions=(128, 192)))
    for each in specs:
        host.load(each)
    return Bench(objects, pool, host, specs, sha256s)


def _store(objects: FileObjects, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    objects.put(image_key(sha256), data)
    return sha256


def _batches(rows: Sequence[Pixels]) -> list[Pixels]:
    return [np.stack(rows[at : at + _BATCH]) for at in range(0, len(rows), _BATCH)]


def _pass_all(embedder: HostedEmbedder, batches: Sequence[Pixels]) -> None:
    under_way: deque[Future[Embedded]] = deque()
    for each in batches:
        under_way.append(embedder.submit(each))
        if len(under_way) > embedder.gate.lanes:
            under_way.popleft().result()
    for result in under_way:
        result.result()
