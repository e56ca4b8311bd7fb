"""A stored vector is what a fresh embedding of the same bytes gives (docs/architecture.md)."""

import hashlib

import numpy as np
import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.adapters.sql_records import open_sqlite
from services.core.domain.names import point_id
from services.core.ports import Float32
from services.imaging.decode_pool import DecodePool
from services.imaging.resizing import PixelRecipe
from services.vision.models import builtin_model, load_embedder
from shelflens import Client
from shelflens.names import product_id
from tests.e2e.processes import vector_port
from tests.e2e.shop import Shop
from tests.local_server import LocalServer

CATALOG = "vectors"


@pytest.fixture(scope="module", autouse=True)
def _imported(client: Client, shop: Shop) -> None:
    client.import_products(CATALOG, shop.manifest).raise_for_error()


def test_the_bytes_of_a_stored_image_find_it_with_a_score_of_one(
    client: Client, shop: Shop
) -> None:
    for row in shop.rows()[::3]:
        (image,) = client.list_images(f"{CATALOG}/{row['sku']}")
        data = client.download_image(image.name)
        assert data == shop.image(row).read_bytes()
        best = client.search(CATALOG, data, top_k=1).results[0]
        assert best.image == image.name
        assert best.score > 0.9999


def test_stored_vectors_equal_fresh_embeddings(server: LocalServer, shop: Shop) -> None:
    stored = _stored(server, shop)
    fresh = _embedded([shop.image(row).read_bytes() for row in shop.rows()])
    assert stored.shape == fresh.shape
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1, atol=1e-4)
    cosines = np.sum(stored * fresh, axis=1) / np.linalg.norm(fresh, axis=1)
    assert cosines.min() > 0.9999
    # The claim would also hold if all vectors were the same: others are farther away.
    others = stored @ fresh.T / np.linalg.norm(fresh, axis=1)
    np.fill_diagonal(others, 0)
    assert others.max() < 0.9999


def _stored(server: LocalServer, shop: Shop) -> Float32:
    """The points of the shop, read from the vector server itself: [products, embedding_dim]."""
    names = []
    for row in shop.rows():
        sha256 = hashlib.sha256(shop.image(row).read_bytes()).hexdigest()
        names.append(point_id(CATALOG, product_id(row["sku"]), sha256))
    records = open_sqlite(server.data / "records.db")
    with records.begin() as tx:
        collection = tx.catalogs.deployment(CATALOG).collection
    records.close()
    vectors = QdrantVectors("127.0.0.1", vector_port(server))
    try:
        found = vectors.fetch(collection, names)
    finally:
        vectors.close()
    return np.stack([found[name].vector for name in names])


def _embedded(images: list[bytes]) -> Float32:
    """Fresh embeddings, one image a batch: [images, embedding_dim]."""
    spec, _ = builtin_model("base")
    model = load_embedder(spec)
    recipe = PixelRecipe.of(spec)
    with DecodePool(1) as pool:
        pixels = [pool.decode(each, recipe) for each in images]
    return np.concatenate([model.embed(each[np.newaxis])[0] for each in pixels])
