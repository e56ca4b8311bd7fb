"""The checks of the chaos suite on stored things: each finds the damage that it is for."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain.keys import image_key
from services.core.domain.names import point_id
from services.core.ports import CollectionSpec, Float32, Point
from shelflens.names import product_id
from shelflens.values import Image, Product
from tests.chaos.invariants import Found, check_objects, check_points, check_vectors
from tests.servers.vectors import VectorServerProcess

DIMENSION = 8
COLLECTION = "chaos"
SKUS = tuple("ABCDE")


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantVectors]:
    with VectorServerProcess(tmp_path_factory.mktemp("vectors")) as server:
        store = QdrantVectors("127.0.0.1", server.port)
        yield store
        store.close()


@pytest.fixture
def fresh(vectors: QdrantVectors) -> Iterator[dict[str, Float32]]:
    """The embeddings of five images, which the store holds."""
    rng = np.random.default_rng(3)
    embeddings = {_sha(sku): rng.normal(size=DIMENSION).astype(np.float32) for sku in SKUS}
    vectors.ensure_collection(CollectionSpec(COLLECTION, DIMENSION))
    vectors.upsert(COLLECTION, [_point(sku, embeddings[_sha(sku)]) for sku in SKUS])
    yield embeddings
    vectors.drop_collection(COLLECTION)


def test_a_store_that_holds_what_it_should_passes(
    vectors: QdrantVectors, fresh: dict[str, Float32]
) -> None:
    assert check_points(vectors, COLLECTION, _found()) == []
    assert check_vectors(vectors, COLLECTION, _found(), fresh) == []


def test_a_missing_point_is_found(vectors: QdrantVectors, fresh: dict[str, Float32]) -> None:
    vectors.delete(COLLECTION, [_point("B", fresh[_sha("B")]).id], 9)
    assert len(check_points(vectors, COLLECTION, _found())) == 2  # by its name, and by the count


def test_a_point_that_nothing_explains_is_found(
    vectors: QdrantVectors, fresh: dict[str, Float32]
) -> None:
    vectors.upsert(COLLECTION, [_point("stranger", fresh[_sha("A")])])
    assert len(check_points(vectors, COLLECTION, _found())) == 1


def test_a_vector_of_another_image_is_found(
    vectors: QdrantVectors, fresh: dict[str, Float32]
) -> None:
    vectors.upsert(COLLECTION, [_point("B", fresh[_sha("A")])])
    (violation,) = check_vectors(vectors, COLLECTION, _found(), fresh)
    assert _sha("B") in violation


def test_an_object_that_does_not_fit_its_key_is_found(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    for sku in SKUS:
        objects.put(image_key(_sha(sku)), sku.encode())
    assert check_objects(objects) == []
    objects.put(image_key(_sha("C")), b"something else")
    (violation,) = check_objects(objects)
    assert _sha("C") in violation


def _sha(sku: str) -> str:
    return hashlib.sha256(sku.encode()).hexdigest()


def _point(sku: str, vector: Float32) -> Point:
    id_ = point_id("c", product_id(sku), _sha(sku))
    return Point(id_, vector, {"product": sku, "sha256": _sha(sku), "revision": 1})


def _found() -> Found:
    products = {
        sku: Product(f"p/{sku}", sku, sku, "", (), (), "", None, None, {}, 1, 1, None)
        for sku in SKUS
    }
    images = {sku: [Image(f"i/{sku}", _sha(sku), "SEARCHABLE", "", "", None)] for sku in SKUS}
    return Found("c", products, images)
