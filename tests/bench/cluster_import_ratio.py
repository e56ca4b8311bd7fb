"""A whole import through the cluster profile against the bare loop over the same files."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.catalogues import BenchCatalog, choose_catalog
from tests.bench.clusters import fresh_cluster, import_head, processor_seconds, warm_up
from tests.bench.figures import Figure, Outcome, at_least
from tests.bench.import_costs import UploadClock
from tests.bench.import_ratio import in_turns
from tests.bench.quantiles import median


@dataclass(frozen=True, slots=True)
class _Imported:
    images_per_second: float
    upload: float
    processor: dict[str, float]


def cluster_import_ratio(data: Path | None) -> Iterator[Outcome]:
    """One embedding worker, and every server on the processors of this machine."""
    imports, bare = in_turns(choose_catalog(data), _import)
    ours = sorted(imports, key=lambda each: each.images_per_second)[len(imports) // 2]
    ratio = ours.images_per_second / median(bare.rates)
    yield Figure("cluster import over bare loop", ratio, "", at_least(0.60))
    yield Figure("cluster import", ours.images_per_second, "images/s")
    yield from bare.figures()
    yield Figure("cluster import: hash and upload", ours.upload, "s")
    for part, seconds in sorted(ours.processor.items(), key=lambda each: -each[1]):
        yield Figure(f"cluster import: processor time of {part}", seconds, "s")


def _import(catalog: BenchCatalog, images: int) -> _Imported:
    """Into an empty cluster, because nothing is embedded twice."""
    with fresh_cluster() as (cluster, client):
        warm_up(cluster, client, catalog)
        before, upload = processor_seconds(cluster), UploadClock()
        started = time.perf_counter()
        operation = import_head(cluster, client, catalog, images, upload)
        wall = time.perf_counter() - started
        after = processor_seconds(cluster)
        spent = {part: after[part] - before.get(part, 0.0) for part in after}
        return _Imported(operation.counts.images_embedded / wall, upload.seconds, spent)
