"""What a search through the cluster profile costs beyond embedding its photo."""

from collections.abc import Iterator
from pathlib import Path

from tests.bench.catalogues import PRODUCTS, choose_catalog
from tests.bench.clusters import fresh_cluster, import_head, warm_up
from tests.bench.figures import Outcome, at_most
from tests.bench.search_overhead import EmbedderHere, compared

_PHOTOS = 200


def cluster_search_overhead(data: Path | None) -> Iterator[Outcome]:
    """Idle: gateway, broker, query worker, vector server and records are processes of their own."""
    catalog = choose_catalog(data)
    photos = [path.read_bytes() for _, path in catalog.queries(_PHOTOS)]
    with fresh_cluster() as (cluster, client), EmbedderHere() as embedder:
        warm_up(cluster, client, catalog)
        import_head(cluster, client, catalog, PRODUCTS)
        yield from compared(client, embedder, photos, "3,000 (cluster)", at_most(8))
