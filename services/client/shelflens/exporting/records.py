"""The products of a catalogue with their images, a row each, as a manifest has them."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shelflens.client import Client
from shelflens.importing.in_order import in_order
from shelflens.values import Image, Product

_THREADS = 8  # the images of a product cost a call


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an export: `kind` is text, texts, number, object or vector."""

    name: str
    kind: str


# The names of a manifest: an export can be imported again (docs/manifest.md). The last columns
# describe the same images each, in one order.
RECORDS: tuple[Column, ...] = (
    Column("sku", "text"),
    Column("title", "text"),
    Column("description", "text"),
    Column("categories", "texts"),
    Column("labels", "texts"),
    Column("parent", "text"),
    Column("price", "number"),
    Column("stock", "number"),
    Column("attributes", "object"),
    Column("image", "texts"),
    Column("product_name", "text"),
    Column("image_names", "texts"),
    Column("image_sha256s", "texts"),
    Column("image_states", "texts"),
    Column("image_sources", "texts"),
)


def records(client: Client, catalog: str) -> Iterator[dict[str, Any]]:
    """A row per product: the values of RECORDS by name."""

    def row(product: Product) -> dict[str, Any]:
        return _row(product, list(client.list_images(product.name, page_size=1_000)))

    products = client.list_products(catalog, page_size=1_000)
    yield from in_order(row, products, threads=_THREADS, ahead=4 * _THREADS, stop=threading.Event())


def _row(product: Product, images: list[Image]) -> dict[str, Any]:
    return {
        "sku": product.sku,
        "title": product.title,
        "description": product.description,
        "categories": list(product.categories),
        "labels": list(product.labels),
        "parent": product.parent,
        "price": product.price,
        "stock": product.stock,
        "attributes": dict(product.attributes),
        "image": [each.source for each in images if each.source and not each.embedding_only],
        "product_name": product.name,
        "image_names": [each.name for each in images],
        "image_sha256s": [each.sha256 for each in images],
        "image_states": [each.state for each in images],
        "image_sources": [each.source for each in images],
    }
