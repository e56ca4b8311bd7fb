"""How soon an uploaded image is found, and how long searches take, while an import runs or not."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from shelflens import Client
from tests.bench.catalogues import PRODUCTS, Query, choose_catalog
from tests.bench.figures import Figure, Outcome, at_most
from tests.bench.quantiles import median, quantile, timed
from tests.bench.servers import CATALOG, filled_server, importing

_ROWS_BEFORE = 300
_UPLOADS = 30
_GIVE_UP_SECONDS = 60.0
_PAUSE_SECONDS = 0.02


def freshness(data: Path | None) -> Iterator[Outcome]:
    """From the answer of UploadImage to the answer of a search that has its product."""
    catalog = choose_catalog(data)
    photos = iter(catalog.queries(9 * _UPLOADS))
    with filled_server(catalog, _ROWS_BEFORE) as (server, client):
        idle = [_until_found(client, *photo) for photo in islice(photos, _UPLOADS)]
        with importing(server, catalog, PRODUCTS) as running:
            busy = _while_running(client, photos, running)
    yield Figure("upload to found, idle, p95", quantile(idle, 0.95), "s", at_most(2))
    yield Figure("upload to found, idle, median", median(idle), "s")
    yield Figure("upload to found, during an import, p95", quantile(busy, 0.95), "s", at_most(10))
    yield Figure("upload to found, during an import, median", median(busy), "s")
    yield Figure("uploads during the import", len(busy))


def search_under_import(data: Path | None) -> Iterator[Outcome]:
    """One client that searches photo after photo while products are imported."""
    catalog = choose_catalog(data)
    photos = [path.read_bytes() for _, path in catalog.queries(200)]
    with filled_server(catalog, _ROWS_BEFORE) as (server, client):
        idle = [timed(client.search, CATALOG, each)[0] for each in photos[:100]]
        busy: list[float] = []
        with importing(server, catalog, PRODUCTS) as running:
            while running():
                photo = photos[len(busy) % len(photos)]
                busy.append(timed(client.search, CATALOG, photo)[0])
    yield Figure("search during an import, p95", quantile(busy, 0.95), "ms", at_most(300))
    yield Figure("search during an import, p50", median(busy), "ms")
    yield Figure("search without an import, p95", quantile(idle, 0.95), "ms")
    yield Figure("searches during the import", len(busy))


def _while_running(
    client: Client, photos: Iterator[Query], running: Callable[[], bool]
) -> list[float]:
    found = []
    for sku, path in photos:
        if not running():
            break
        found.append(_until_found(client, sku, path))
    return found


def _until_found(client: Client, sku: str, path: Path) -> float:
    """Seconds. The photo becomes the only image of a new product, so no import knows it."""
    photo = path.read_bytes()
    product = client.create_product(CATALOG, f"fresh {sku} {path.name}")
    client.upload_image(product.name, photo)
    uploaded = time.perf_counter()
    while time.perf_counter() - uploaded < _GIVE_UP_SECONDS:
        answer = client.search(CATALOG, photo, top_k=3)
        if any(each.product == product.name for each in answer.results):
            return time.perf_counter() - uploaded
        time.sleep(_PAUSE_SECONDS)
    return _GIVE_UP_SECONDS
