"""Whether workers grow with the shards that they have done."""

import threading
from collections.abc import Iterator
from pathlib import Path

from shelflens.importing.progress import Progress
from tests.bench.catalogues import PRODUCTS, choose_catalog
from tests.bench.clusters import fresh_cluster, import_head
from tests.bench.figures import Figure, Outcome, at_least, at_most
from tests.bench.memory import anonymous_bytes
from tests.bench.quantiles import median
from tests.servers.cluster import Cluster

_ROWS = 14  # a shard: at least 200 shards
_WARM = 20  # shards that fill caches and pools
_WORKERS = ("ingestion", "embedding-bulk", "indexing", "coordinator")
_PERIOD = 0.1
_MB = 1_000_000


def worker_memory(data: Path | None) -> Iterator[Outcome]:
    """Medians of memory of their own (RssAnon) while shards 20 to 40 and the last 20 are done."""
    catalog = choose_catalog(data)
    with fresh_cluster({"SHELFLENS_SHARD_ROWS": str(_ROWS)}) as (cluster, client):
        with _Samples(cluster) as samples:
            rows = import_head(cluster, client, catalog, PRODUCTS, samples.heard).counts.rows_read
        shards = rows / _ROWS
        yield Figure("shards", shards, "", at_least(200))
        for name in _WORKERS:
            first = samples.of(name, _WARM, 2 * _WARM)
            last = samples.of(name, shards - _WARM, shards)
            grown = 100 * (last / first - 1)
            yield Figure(f"growth of {name} after 20 shards", grown, "%", at_most(5))
            yield Figure(f"{name} after 20 shards", first / _MB, "MB")


class _Samples:
    """While an import runs: the memory of every worker, often, and how many shards were done."""

    def __init__(self, cluster: Cluster) -> None:
        self._taken: list[tuple[float, dict[str, float]]] = []
        self._shards = 0.0
        self._pids = {name: cluster.services[name].pid for name in _WORKERS}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def heard(self, progress: Progress) -> None:
        """For on_progress."""
        if progress.phase == "import":
            self._shards = progress.rows / _ROWS

    def of(self, name: str, first: float, last: float) -> float:
        """Median of a worker's bytes while these shards were done."""
        return median([each[name] for done, each in self._taken if first <= done <= last])

    def __enter__(self) -> "_Samples":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_PERIOD):
            sizes = {name: float(anonymous_bytes(pid)) for name, pid in self._pids.items()}
            self._taken.append((self._shards, sizes))
