"""Write a demo catalogue to disk: a manifest, packshots, and customer photos with ground truth."""

import csv
import json
import logging
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from services.demo.catalog import DemoProduct, make_products
from services.demo.packshot import render_packshot
from services.demo.photo import render_photo

_LOG = logging.getLogger(__name__)
_CHUNK = 24
_REACH = 4
# Raise this whenever the drawing changes, so that older output is not taken for current.
_DRAWING = 1

PRODUCT_COLUMNS = (
    "sku",
    "title",
    "category",
    "brand",
    "price",
    "stock",
    "labels",
    "parent",
    "image",
)
PHOTO_COLUMNS = ("image", "sku")


@dataclass(frozen=True)
class DemoCatalog:
    """Where a written catalogue lies: `products` and `photos` are CSV files, paths in them are
    relative to `root`; `labels` and `image` hold several values joined by `|`."""

    root: Path
    products: Path
    photos: Path


@dataclass(frozen=True)
class _Order:
    """What is to be written; equal orders give equal files."""

    products: int
    photos: int
    seed: int
    images_per_product: int
    drawing: int = _DRAWING


@dataclass(frozen=True)
class _Rows:
    products: list[tuple[str, ...]]
    photos: list[tuple[str, ...]]


def write_catalog(
    root: Path,
    products: int,
    photos: int,
    seed: int = 0,
    images_per_product: int = 1,
    workers: int | None = None,
) -> DemoCatalog:
    """Render `products` products with `images_per_product` packshots each and `photos` photos.

    Photos are spread evenly over the products. `workers` is the number of processes (default: one
    per processor; 1 stays in this process). Complete output of the same order is left as it is.
    """
    if products < 1 or photos < 0 or images_per_product < 1:
        raise ValueError("products and images_per_product must be at least 1, photos at least 0")
    catalog = DemoCatalog(root, root / "products.csv", root / "photos.csv")
    order, stamp = _Order(products, photos, seed, images_per_product), root / "catalog.json"
    if _is_current(stamp, order):
        _LOG.info("%s is complete: nothing to render", root)
        return catalog
    root.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    _write_tables(catalog, order, workers or os.cpu_count() or 1)
    fresh = stamp.with_suffix(".tmp")
    fresh.write_text(json.dumps(asdict(order)), encoding="utf-8")
    fresh.replace(stamp)
    _LOG.info("wrote %d products and %d photos to %s", products, photos, root)
    return catalog


def _is_current(stamp: Path, order: _Order) -> bool:
    try:
        return bool(json.loads(stamp.read_text(encoding="utf-8")) == asdict(order))
    except (FileNotFoundError, ValueError):
        return False


def _write_tables(catalog: DemoCatalog, order: _Order, workers: int) -> None:
    with (
        catalog.products.open("w", newline="", encoding="utf-8") as product_file,
        catalog.photos.open("w", newline="", encoding="utf-8") as photo_file,
    ):
        product_rows, photo_rows = csv.writer(product_file), csv.writer(photo_file)
        product_rows.writerow(PRODUCT_COLUMNS)
        photo_rows.writerow(PHOTO_COLUMNS)
        for rows in _rendered(catalog.root, order, workers):
            product_rows.writerows(rows.products)
            photo_rows.writerows(rows.photos)


def _rendered(root: Path, order: _Order, workers: int) -> Iterator[_Rows]:
    """The rows of each chunk in order, rendered by a pool that is at most a few chunks ahead."""
    stream = make_products(order.products, order.seed)
    chunks = iter(lambda: list(islice(stream, _CHUNK)), [])
    tasks = ((root, order, i * _CHUNK, chunk) for i, chunk in enumerate(chunks))
    if workers == 1 or order.products <= _CHUNK:
        yield from (_render_chunk(*task) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _die_with_parent) as pool:
        ahead: deque[Future[_Rows]] = deque()
        for task in tasks:
            ahead.append(pool.submit(_render_chunk, *task))
            if len(ahead) > 3 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    watched = parent

    def watch() -> None:
        watched.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _render_chunk(root: Path, order: _Order, start: int, chunk: list[DemoProduct]) -> _Rows:
    rows = _Rows([], [])
    folder = f"{start // 960:04d}"
    (root / "images" / folder).mkdir(parents=True, exist_ok=True)
    (root / "photos" / folder).mkdir(parents=True, exist_ok=True)
    for place, product in enumerate(chunk):
        names = []
        for view in range(order.images_per_product):
            names.append(f"images/{folder}/{product.sku}-{view}.jpg")
            render_packshot(product, view=view).save(root / names[-1], quality=90)
        rows.products.append(_product_row(product, names))
        number = start + place
        first = number * order.photos // order.products
        around = chunk[max(place - _REACH, 0) : place + _REACH + 1]
        for i in range((number + 1) * order.photos // order.products - first):
            name = f"photos/{folder}/{product.sku}-{i}.jpg"
            render_photo(product, around, order.seed + i).save(root / name, quality=90)
            rows.photos.append((name, product.sku))
    return rows


def _product_row(product: DemoProduct, images: list[str]) -> tuple[str, ...]:
    return (
        product.sku,
        product.title,
        product.category,
        product.brand,
        f"{product.price:.2f}",
        str(product.stock),
        "|".join(product.labels),
        product.parent,
        "|".join(images),
    )
