"""What a search costs beyond embedding its photo in a large catalogue, and what it misses.

The rendered catalogue, and around its images made-up ones, written by the product's own adapters
while the server is stopped.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from shelflens import Client
from tests.bench.catalogues import PRODUCTS, choose_catalog
from tests.bench.figures import Figure, Outcome, at_most
from tests.bench.search_overhead import EmbedderHere, compared
from tests.bench.servers import CATALOG, filled_server
from tests.bench.vector_fill import Filled, fill

_IMAGES = 100_000
_PHOTOS = 200
_DEPTH = 10


def search_at_100k(data: Path | None) -> Iterator[Outcome]:
    """At 100,000 images, idle, with the HNSW index built."""
    catalog = choose_catalog(data)
    photos = [path.read_bytes() for _, path in catalog.queries(_PHOTOS)]
    with filled_server(catalog, PRODUCTS) as (server, client):
        client.close()
        server.stop()
        filled = fill(server.data, CATALOG, _IMAGES)
        ready = server.start()
        with server.client() as client, EmbedderHere() as embedder:
            yield from compared(client, embedder, photos, "100,000", at_most(15))
            recall = _recall(client, embedder, photos, filled)
    yield Figure(f"recall@{_DEPTH} of the index against exact search", recall)
    yield Figure("building the index of 100,000 images", filled.build_seconds, "s")
    yield Figure("serve ready with 100,000 images", ready, "s")


def _recall(
    client: Client, embedder: EmbedderHere, photos: Sequence[bytes], filled: Filled
) -> float:
    """The mean share of the truly nearest products that a search finds."""
    found = 0
    for photo in photos:
        query = embedder.embed(photo)
        nearest = np.argsort(-(filled.embeddings @ query))[:_DEPTH]
        exact = {f"catalogs/{CATALOG}/products/{filled.products[row]}" for row in nearest}
        answer = client.search(CATALOG, embedding=query.tolist(), top_k=_DEPTH)
        found += len(exact & {each.product for each in answer.results})
    return found / (_DEPTH * len(photos))
