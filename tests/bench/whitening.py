"""Mean and covariance of a million embeddings that are never in memory together.

`python -m tests.bench.whitening` is the process that is measured: it holds nothing but numpy, the
batch at hand and the sums, and prints what it took as JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from services.retrieval.fitting import fit_whitening
from services.retrieval.moments import Moments
from tests.bench.figures import Figure, Outcome, at_least, at_most

_ROWS, _DIMENSION = 1_000_000, 512
_BATCH = 2_000
_OFFSET = 10.0
_MB = 1_000_000
_KIB = 1024


def whitening(data: Path | None) -> Iterator[Outcome]:
    """Batches of 2,000 x 512 random float32 values; making them is not counted, but for its
    memory. `data` is not used."""
    run = subprocess.run(
        [sys.executable, "-m", __name__], stdout=subprocess.PIPE, check=True, timeout=600
    )
    took = json.loads(run.stdout)
    yield Figure("mean and covariance of 1,000,000 x 512", took["seconds"], "s", at_most(60))
    yield Figure("the same, time of all processors", took["processor"], "s")
    yield Figure("peak of the process, all of it", took["peak"] / _MB, "MB", at_most(500))
    yield Figure("embeddings taken in", took["rows"], "", at_least(_ROWS))
    yield Figure("mean beside that of the distribution", took["mean_error"], "", at_most(0.01))
    yield Figure("covariance beside the identity", took["error"], "", at_most(0.01))
    yield Figure("whitening from them", took["fit_seconds"], "s")


def _measure() -> dict[str, float]:
    random = np.random.default_rng(5)
    moments = Moments(_DIMENSION)
    seconds = processor = 0.0
    for _ in range(_ROWS // _BATCH):
        batch = random.standard_normal((_BATCH, _DIMENSION), np.float32) + np.float32(_OFFSET)
        began, used = time.perf_counter(), time.process_time()
        moments.add(batch)
        seconds += time.perf_counter() - began
        processor += time.process_time() - used
    began = time.perf_counter()
    fit_whitening(moments)
    fit_seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "processor": processor,
        "fit_seconds": fit_seconds,
        "rows": moments.count,
        "mean_error": float(np.abs(moments.mean - _OFFSET).max()),
        "error": float(np.abs(moments.covariance() - np.eye(_DIMENSION)).max()),
        "peak": _peak_bytes(),
    }


def _peak_bytes() -> int:
    """VmHWM: resident memory at its highest, the interpreter and its libraries included."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    raise RuntimeError("this kernel tells no VmHWM")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure()))
