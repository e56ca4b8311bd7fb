"""How long `shelflens serve` takes until it answers, and how long the demo takes."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, Outcome, at_most
from tests.bench.quantiles import median
from tests.local_server import LocalServer

_ROOT = Path(__file__).parents[2]
_STARTS = 3


def serve_ready(data: Path | None) -> Iterator[Outcome]:
    """From the start of the process to the first answer, without data and with its own again."""
    first, later = [], []
    for _ in range(_STARTS):
        with tempfile.TemporaryDirectory(prefix="shelflens-bench-") as folder:
            server = LocalServer(Path(folder) / "data")
            first.append(_seconds_to_answer(server))
            later.append(_seconds_to_answer(server))
    yield Figure("serve ready, first start", median(first), "s", at_most(10))
    yield Figure("serve ready, later start", median(later), "s", at_most(10))


def demo_time(data: Path | None) -> Iterator[Outcome]:
    """`make demo` on an installed tree."""
    subprocess.run(["make", "-s", "install"], cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)
    started = time.perf_counter()
    subprocess.run(["make", "-s", "demo"], cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)
    yield Figure("make demo", time.perf_counter() - started, "s", at_most(120))


def _seconds_to_answer(server: LocalServer) -> float:
    started = time.perf_counter()
    with server, server.client() as client:
        list(client.list_catalogs())
        return time.perf_counter() - started
