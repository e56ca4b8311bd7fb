"""Fills a catalogue with made-up images, as an import would leave them, and has them indexed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.coordinator.planning import payload
from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.adapters.sql_records import open_sqlite
from services.core.adapters.system_clock import SystemClock
from services.core.domain import names
from services.core.ports import Float32, Point
from services.core.record_ports import RecordStore
from services.core.shard_files import AcceptedRow
from services.local.vector_server.process import start_vector_server
from tests.bench.index_building import wait_for_index

_BATCH = 500
_SPREAD = 0.6  # length of the noise on a unit vector: cosine 0.86 to its origin


@dataclass(frozen=True, slots=True)
class Filled:
    """All embeddings of the catalogue, float32 [n, d], and the product of each row."""

    embeddings: Float32
    products: tuple[str, ...]
    build_seconds: float


def fill(data: Path, catalog: str, total: int, seed: int = 0) -> Filled:
    """Adds images to `catalog` below the data directory of a stopped server until there are
    `total`, each near one of those that are there, and waits for the HNSW index."""
    records = open_sqlite(data / "records.db")
    server = start_vector_server(data / "vectors")
    vectors = QdrantVectors("127.0.0.1", server.port)
    try:
        with records.begin() as tx:
            collection = tx.catalogs.deployment(catalog).collection
        known = _stored(records, vectors, catalog, collection)
        origins = np.stack([*known.values()])
        products, parts = [*known], [origins]
        generator = np.random.default_rng(seed)
        for start in range(len(known), total, _BATCH):
            count = min(_BATCH, total - start)
            added = _near(origins, count, generator)
            skus = [f"made-up-{start + number}" for number in range(count)]
            _add(records, vectors, catalog, collection, skus, added)
            products += skus
            parts.append(added)
        seconds = wait_for_index(server.process.pid)
        return Filled(np.concatenate(parts), tuple(products), seconds)
    finally:
        vectors.close()
        server.stop()
        records.close()


def _near(origins: Float32, count: int, generator: np.random.Generator) -> Float32:
    """`count` unit vectors, each around one of `origins`."""
    chosen = origins[generator.integers(len(origins), size=count)]
    noise = generator.standard_normal(chosen.shape, dtype=np.float32)
    moved = chosen + noise * np.float32(_SPREAD / np.sqrt(chosen.shape[1]))
    unit: Float32 = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


def _stored(
    records: RecordStore, vectors: QdrantVectors, catalog: str, collection: str
) -> dict[str, Float32]:
    """Product -> embedding of its first image."""
    points: dict[str, str] = {}
    with records.begin() as tx:
        after = ""
        while page := tx.products.page(catalog, after, 1_000):
            after = page[-1].id
            for product in page:
                for image in tx.products.page_images(catalog, product.id, "", 1):
                    points[product.id] = names.point_id(catalog, product.id, image.sha256)
    found = vectors.fetch(collection, [*points.values()])
    return {product: found[point].vector for product, point in points.items() if point in found}


def _add(
    records: RecordStore,
    vectors: QdrantVectors,
    catalog: str,
    collection: str,
    skus: Sequence[str],
    embeddings: Float32,
) -> None:
    """Products with an image each: the records first, then the points, then searchable."""
    hashes = [hashlib.sha256(sku.encode()).hexdigest() for sku in skus]
    images = list(zip(skus, hashes, strict=True))
    now = SystemClock().now()
    with records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision(catalog)
        rows = [
            AcceptedRow(
                row,
                {"sku": sku, "title": f"Made up {sku}"},
                ("sku", "title", "images"),
                (sha256,),
                ("",),
            )
            for row, (sku, sha256) in enumerate(images)
        ]
        tx.imports.merge_rows(catalog, rows, revision, now)
        tx.imports.planned(catalog, images, revision)
        products = tx.products.get_many(catalog, skus)
    vectors.upsert(
        collection,
        [
            Point(
                names.point_id(catalog, sku, sha256),
                embedding,
                payload(products[sku], sha256, revision),
            )
            for (sku, sha256), embedding in zip(images, embeddings, strict=True)
        ],
    )
    with records.begin(write=True) as tx:
        tx.imports.indexed(catalog, revision)
