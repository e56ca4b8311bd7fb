"""What it takes to measure a model on a large catalogue: ranks, metrics and intervals.

`python -m tests.bench.evaluate_scale` is the process that is measured: it makes embeddings in
clusters, a product each, and prints what it took as JSON. A number of queries and of gallery images
in thousands may follow.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from services.core.domain.evaluation import Estimate
from services.core.ports import Float32
from services.retrieval.bootstrap import Bootstrap
from services.retrieval.linear import Float64
from services.retrieval.metrics import per_query
from services.retrieval.nearest import nearest
from services.retrieval.ranking_keys import Int64
from tests.bench.figures import Figure, Outcome, at_least, at_most

_THOUSANDS, _DIMENSION, _OF_PRODUCT = "100", 512, 5
_KS = (1, 10, 100)
_RESAMPLES, _CONFIDENCE, _SEED = 1_000, 0.95, 7
_SPREAD = 2.2  # length of the noise on a unit vector
_CHECKED = 50
_TILE = 1024, 2048
_MB = 1_000_000
_KIB = 1024
_T = TypeVar("_T")


def evaluate_scale(data: Path | None) -> Iterator[Outcome]:
    """100,000 queries in a gallery of 100,000, embeddings of 512 values, the first 100 results of
    each. `data` is not used."""
    run = subprocess.run(
        [sys.executable, "-m", __name__], stdout=subprocess.PIPE, check=True, timeout=3_600
    )
    took = json.loads(run.stdout)
    yield Figure("evaluating 100,000 x 100,000 x 512", took["seconds"], "s", at_most(900))
    yield Figure("evaluating: peak of the process", took["peak"] / _MB, "MB", at_most(3_000))
    yield Figure("evaluating: the nearest 100", took["nearest"], "s")
    yield Figure("evaluating: the matrix products among it, at their best", took["products"], "s")
    yield Figure("evaluating: metrics", took["metrics"], "s")
    yield Figure("evaluating: intervals of 21 metrics", took["intervals"], "s")
    yield Figure("evaluating: processor time of all", took["processor"], "s")
    yield Figure("evaluating: mAP@100", took["map"])
    yield Figure("evaluating: mAP@100, width of its interval", took["width"])
    yield Figure("evaluating: ranks as in float64, of 5,000", took["agreed"], "", at_least(0.999))


def _measure(queries: int, images: int) -> dict[str, float]:
    random = np.random.default_rng(_SEED)
    products = -(-images // _OF_PRODUCT)
    centres = _unit(random.standard_normal((products, _DIMENSION), np.float32))
    held = np.arange(images) % products
    asked = random.integers(products, size=queries)
    gallery, photos = _near(centres, held, random), _near(centres, asked, random)
    rate = _products_per_second(photos, gallery)
    used = time.process_time()
    (_, positions), nearest_seconds = _timed(lambda: nearest(photos, gallery, _KS[-1], "cosine"))
    counts = np.bincount(held, minlength=products)[asked]
    values, metrics_seconds = _timed(
        lambda: per_query(held[positions] == asked[:, None], counts, _KS)
    )
    estimates, interval_seconds = _timed(lambda: _intervals(values, asked))
    used = time.process_time() - used
    estimate = estimates[f"map@{_KS[-1]}"]
    return {
        "seconds": nearest_seconds + metrics_seconds + interval_seconds,
        "processor": used,
        "nearest": nearest_seconds,
        "metrics": metrics_seconds,
        "intervals": interval_seconds,
        "products": queries * images / rate,
        "map": estimate.value,
        "width": estimate.high - estimate.low,
        "peak": _peak_bytes(),
        "agreed": _agreement(photos, gallery, positions),
    }


def _intervals(values: dict[str, Float64], clusters: Int64) -> dict[str, Estimate]:
    bootstrap = Bootstrap(clusters, _RESAMPLES, _CONFIDENCE, _SEED)
    return {name: bootstrap.estimate(each) for name, each in values.items()}


def _products_per_second(photos: Float32, gallery: Float32) -> float:
    """Inner products of two rows that BLAS makes a second, at its best of twenty tries."""
    some, others = photos[: _TILE[0]], gallery[: _TILE[1]]
    seconds: list[float] = [_timed(lambda: some @ others.T)[1] for _ in range(20)]
    return _TILE[0] * _TILE[1] / min(seconds)


def _agreement(photos: Float32, gallery: Float32, positions: Int64) -> float:
    """The share of ranks of 50 queries that hold what comparing everything in float64 finds."""
    some = np.linspace(0, len(photos) - 1, _CHECKED).astype(np.int64)
    agreed = []
    for query in some:
        exact = np.einsum("gd,d->g", gallery, photos[query], dtype=np.float64)
        agreed.append(np.argsort(-exact)[: positions.shape[1]] == positions[query])
    return float(np.mean(agreed))


def _near(centres: Float32, chosen: Int64, random: np.random.Generator) -> Float32:
    """A unit vector around each of the `chosen` centres."""
    rows = random.standard_normal((len(chosen), centres.shape[1]), np.float32)
    rows *= np.float32(_SPREAD / np.sqrt(centres.shape[1]))
    rows += centres[chosen]
    return _unit(rows)


def _unit(rows: Float32) -> Float32:
    rows /= np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    return rows


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def _peak_bytes() -> int:
    """VmHWM: resident memory at its highest, the interpreter and its libraries included."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    raise RuntimeError("this kernel tells no VmHWM")


if __name__ == "__main__":
    queries, images = (int(each) * 1_000 for each in sys.argv[1:] or [_THOUSANDS] * 2)
    sys.stdout.write(json.dumps(_measure(queries, images)))
