"""`python -m tests.bench`: runs benchmarks, prints their figures, fails when one falls short."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.calibration import calibration
from tests.bench.cluster_import_ratio import cluster_import_ratio
from tests.bench.cluster_search_overhead import cluster_search_overhead
from tests.bench.deploy_linear import deploy_linear
from tests.bench.ensemble import ensemble
from tests.bench.evaluate_scale import evaluate_scale
from tests.bench.figures import Figure, Outcome
from tests.bench.freshness import freshness, search_under_import
from tests.bench.grocery_recall import grocery_recall
from tests.bench.hostile_memory import hostile_memory
from tests.bench.import_ratio import import_ratio
from tests.bench.killed_cluster import killed_cluster
from tests.bench.lca import lca
from tests.bench.machine import describe_machine, load
from tests.bench.manifest_memory import manifest_memory
from tests.bench.many_catalogs import many_catalogs
from tests.bench.micro_batching import micro_batching
from tests.bench.quantization import quantization
from tests.bench.repeated_imports import reimport, rows
from tests.bench.report import Measured, record
from tests.bench.reranking import rerank_offline, rerank_online
from tests.bench.search_at_100k import search_at_100k
from tests.bench.search_overhead import search_overhead
from tests.bench.serve_ready import demo_time, serve_ready
from tests.bench.whitening import whitening
from tests.bench.worker_memory import worker_memory

Benchmark = Callable[[Path | None], Iterator[Outcome]]

BENCHMARKS: dict[str, Benchmark] = {
    "import-ratio": import_ratio,
    "search-overhead": search_overhead,
    "reimport": reimport,
    "rows": rows,
    "freshness": freshness,
    "search-under-import": search_under_import,
    "serve-ready": serve_ready,
    "demo-time": demo_time,
    "deploy-linear": deploy_linear,
    "grocery-recall": grocery_recall,
    "hostile-memory": hostile_memory,
    "micro-batching": micro_batching,
    "ensemble": ensemble,
    "lca": lca,
    "cluster-search-overhead": cluster_search_overhead,
    "cluster-import-ratio": cluster_import_ratio,
    "worker-memory": worker_memory,
    "many-catalogs": many_catalogs,
    "quantization": quantization,
    "whitening": whitening,
    "rerank-offline": rerank_offline,
    "rerank-online": rerank_online,
    "evaluate-scale": evaluate_scale,
}
# Over five minutes each.
LONG_BENCHMARKS: dict[str, Benchmark] = {
    "search-overhead-100k": search_at_100k,
    "manifest-memory": manifest_memory,
    "killed-cluster": killed_cluster,
    "calibration": calibration,
}


def main() -> int:
    """0 when every target is kept, 1 when a figure falls short or a benchmark breaks."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers end with their with blocks
    every = BENCHMARKS | LONG_BENCHMARKS
    chosen = [arguments.only] if arguments.only else [*(every if arguments.long else BENCHMARKS)]
    measured: list[Measured] = []
    good = True
    for name in chosen:
        at_start = load()
        say(f"# {name}, load {at_start}")
        try:
            for outcome in every[name](arguments.data):
                say(str(outcome))
                good &= not (isinstance(outcome, Figure) and outcome.falls_short)
                measured.append(Measured(_command(name, arguments.data), at_start, outcome))
        except Exception as error:  # the other benchmarks can still run
            good = False
            say(f"{name}: broke ({type(error).__name__}: {error})")
    if arguments.record:
        record(measured, describe_machine())
    return 0 if good else 1


def say(line: str) -> None:
    """To stdout at once: a benchmark takes minutes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _command(name: str, data: Path | None) -> str:
    return f"make bench BENCH={name}" + (
        f" DATA={shlex.quote(os.path.relpath(data))}" if data else ""
    )


def _folder(text: str) -> Path:
    folder = Path(text).resolve()
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is no folder")
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    every = [*BENCHMARKS, *LONG_BENCHMARKS]
    parser.add_argument("--only", choices=every, metavar="NAME", help=", ".join(every))
    parser.add_argument("--long", action="store_true", help="also those over five minutes")
    parser.add_argument("--data", type=_folder, help="folder with products.csv or photos.csv")
    parser.add_argument("--record", action="store_true", help="write docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
