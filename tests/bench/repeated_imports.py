"""Importing again what is there already, and what changed a little."""

import csv
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

from shelflens import Client
from shelflens.values import ImportCounts
from tests.bench.catalogues import choose_catalog
from tests.bench.figures import Figure, Outcome, at_least, at_most
from tests.bench.index_building import wait_for_indexes
from tests.bench.servers import CATALOG, fresh_server, warm_up

_IMAGES = 3_000
_ROWS = 60_000  # 20 products to an image, as variants of one thing have it


def reimport(data: Path | None) -> Iterator[Outcome]:
    """A catalogue of 3,000 images, twice: the second time nothing is sent or embedded."""
    catalog = choose_catalog(data)
    with fresh_server() as server, server.client() as client:
        warm_up(server, client, catalog)
        manifest = catalog.head(server.data.with_name("feed.csv"), _IMAGES)
        first, counts = _import(client, manifest, catalog.root)
        again, repeated = _import(client, manifest, catalog.root)
    if repeated.images_embedded or repeated.products_unchanged != counts.products_created:
        raise ValueError(f"the second import changed something: {repeated}")
    yield Figure("importing again over importing", again / first, "", at_most(0.05))
    yield Figure("first import", first, "s")
    yield Figure("second import", again, "s")


def rows(data: Path | None) -> Iterator[Outcome]:
    """Manifest rows a second, client and server together, of products with an image each."""
    catalog = choose_catalog(data)
    with fresh_server() as server, server.client() as client:
        files = catalog.product_images(_IMAGES)
        feed = server.data.with_name("feed.csv")
        _write_feed(feed, catalog.root, files, raised=0)
        first, _ = _import(client, feed, catalog.root)
        wait_for_indexes(server)  # a nightly feed meets a collection that is at rest
        unchanged, same = _import(client, feed, catalog.root)
        _write_feed(feed, catalog.root, files, raised=1)
        changed, updated = _import(client, feed, catalog.root)
    if (same.products_unchanged, updated.products_updated) != (_ROWS, _ROWS):
        raise ValueError(f"not the imports that were meant: {same}, {updated}")
    yield Figure("unchanged rows", _ROWS / unchanged, "rows/s", at_least(10_000))
    yield Figure("rows with a new price", _ROWS / changed, "rows/s", at_least(2_000))
    yield Figure("new rows, images embedded too", _ROWS / first, "rows/s")


def _import(client: Client, manifest: Path, root: Path) -> tuple[float, ImportCounts]:
    began = time.perf_counter()
    operation = client.import_products(CATALOG, manifest, root=root).raise_for_error()
    return time.perf_counter() - began, operation.counts


def _write_feed(target: Path, root: Path, files: Sequence[Path], *, raised: int) -> None:
    """`_ROWS` products that take the images in turn; prices are higher by `raised`."""
    with target.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("sku", "title", "category", "price", "stock", "image"))
        for number, file in enumerate(islice(cycle(files), _ROWS)):
            price = number % 1_000 + 0.99 + raised
            writer.writerow(
                (
                    f"SKU-{number:06d}",
                    f"Product {number} in a size of its own",
                    f"Group {number % 7} > Kind {number % 41}",
                    f"{price:.2f}",
                    number % 90,
                    file.relative_to(root),
                )
            )
