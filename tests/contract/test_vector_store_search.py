"""What every VectorStore promises of its searches."""

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from services.core.domain.catalog import category_prefixes
from services.core.domain.errors import DeadlineExceeded
from services.core.domain.filters import NumericRange, SearchFilter
from services.core.domain.ranking import GroupBy
from services.core.ports import CollectionSpec, VectorStore
from tests.contract import vector_stores
from tests.contract.vector_stores import DIMENSION, an_id, found, point, unit

connect, store = vector_stores.connect, vector_stores.store
collection = vector_stores.collection


@pytest.fixture(scope="module")
def shop(store: VectorStore) -> Iterator[str]:
    """Four products; the first two are sweets."""
    collection = f"test-{uuid.uuid4()}"
    store.ensure_collection(CollectionSpec(collection, DIMENSION))
    described: list[dict[str, Any]] = [
        {"paths": ["Food > Sweets > Gum"], "labels": ["bio"], "price": 1.0, "stock": 0.0},
        {"paths": ["Food > Sweets", "Gifts"], "labels": ["bio", "new"], "price": 2.5},
        {"paths": ["Food"], "labels": [], "price": 4.0, "stock": 7.0},
        {"paths": ["Gifts > Cards"], "labels": ["new"]},
    ]
    points = []
    for number, fields in enumerate(described):
        categories = list(category_prefixes(tuple(fields.pop("paths"))))
        points.append(point(number, unit(1, 1, number), categories=categories, **fields))
    store.upsert(collection, points)
    yield collection
    store.drop_collection(collection)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (SearchFilter(), {0, 1, 2, 3}),
        (SearchFilter(categories=("Food",)), {0, 1, 2}),
        (SearchFilter(categories=("Food>Sweets",)), {0, 1}),
        (SearchFilter(categories=("Sweets",)), set()),
        (SearchFilter(categories=("Food > Sweets > Gum", "Gifts > Cards")), {0, 3}),
        (SearchFilter(labels=("new",)), {1, 3}),
        (SearchFilter(labels=("new", "bio")), {0, 1, 3}),
        (SearchFilter(skus=("SKU-2", "SKU-3", "SKU-9")), {2, 3}),
        (SearchFilter(ranges=(NumericRange("price", min=2.5),)), {1, 2}),
        (SearchFilter(ranges=(NumericRange("price", max=2.5),)), {0, 1}),
        (SearchFilter(ranges=(NumericRange("price", 1.5, 3.0),)), {1}),
        (SearchFilter(ranges=(NumericRange("stock", min=0.0),)), {0, 2}),
        (SearchFilter(ranges=(NumericRange("price", max=3.0), NumericRange("stock", min=0))), {0}),
        (SearchFilter(categories=("Food",), labels=("bio",), skus=("SKU-1", "SKU-2")), {1}),
    ],
    ids=str,
)
def test_a_filter_keeps_what_meets_all_of_its_conditions(
    store: VectorStore, shop: str, where: SearchFilter, expected: set[int]
) -> None:
    assert found(store, shop, where) == {f"SKU-{number}" for number in expected}


def test_a_threshold_keeps_what_is_near_enough(store: VectorStore, collection: str) -> None:
    store.upsert(collection, [point(n, unit(1, n)) for n in range(4)])
    hits = store.search(collection, unit(1), limit=10, score_threshold=0.5)
    assert [hit.id for hit in hits] == [an_id(0), an_id(1)]  # cosines 1, 0.71, 0.45, 0.32


@pytest.mark.parametrize(("distance", "order"), [("euclidean", 2), ("manhattan", 1)])
def test_distances_are_negative_scores(store: VectorStore, distance: str, order: int) -> None:
    name = f"test-{uuid.uuid4()}"
    store.ensure_collection(CollectionSpec(name, DIMENSION, distance))
    vectors = [np.full(DIMENSION, number, np.float32) for number in range(4)]
    store.upsert(name, [point(n, vector) for n, vector in enumerate(vectors)])
    query = np.full(DIMENSION, 1.25, np.float32)
    hits = store.search(name, query, limit=3)
    assert [hit.id for hit in hits] == [an_id(1), an_id(2), an_id(0)]
    for hit in hits:
        stored = store.fetch(name, [hit.id])[hit.id].vector
        assert hit.score == pytest.approx(-float(np.linalg.norm(stored - query, order)), rel=1e-5)
    threshold = hits[1].score - 1e-3
    assert len(store.search(name, query, limit=9, score_threshold=threshold)) == 2
    assert store.search(name, query, limit=9, score_threshold=1.0) == []
    store.drop_collection(name)


@pytest.mark.parametrize("quantization", ["none", "int8"])
@pytest.mark.parametrize(("distance", "order"), [("euclidean", 2), ("manhattan", 1)])
def test_vectors_of_any_length_are_ordered_by_their_distance(
    store: VectorStore, distance: str, order: int, quantization: str
) -> None:
    name = f"test-{uuid.uuid4()}"
    store.ensure_collection(CollectionSpec(name, DIMENSION, distance, quantization=quantization))
    generator = np.random.default_rng(14)
    lengths = np.geomspace(0.01, 100, 200, dtype=np.float32)
    rows = generator.standard_normal((200, DIMENSION), np.float32) * lengths[:, None]
    store.upsert(name, [point(n, row, product=f"p{n}") for n, row in enumerate(rows)])
    for query in (rows[40], rows[160] * 1.5, np.zeros(DIMENSION, np.float32)):
        scores = -np.linalg.norm((rows - query).astype(np.float64), order, axis=1)
        nearest = np.argsort(-scores)[:20]
        expected = [an_id(int(n)) for n in nearest]
        hits = store.search(name, query, limit=20)
        assert [hit.id for hit in hits] == expected
        found = [hit.score for hit in hits]
        np.testing.assert_allclose(found, scores[nearest], rtol=1e-4, atol=1e-4)
        threshold = float((scores[nearest[6]] + scores[nearest[7]]) / 2)
        near = store.search(name, query, limit=20, score_threshold=threshold)
        assert [hit.id for hit in near] == expected[:7]
        (batch,) = store.search_batch(name, [query], limit=20, score_threshold=threshold)
        assert batch == near
        groups = store.search_groups(
            name,
            query,
            group_by=GroupBy.PRODUCT,
            groups=20,
            per_group=2,
            score_threshold=threshold,
        )
        assert [hit.id for each in groups for hit in each.hits] == [hit.id for hit in near]
    np.testing.assert_array_equal(store.fetch(name, [an_id(199)])[an_id(199)].vector, rows[199])
    store.drop_collection(name)


@pytest.mark.parametrize("quantization", ["none", "int8"])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_hits_bring_the_vectors_that_are_stored_when_asked_for(
    store: VectorStore, distance: str, quantization: str
) -> None:
    name = f"test-{uuid.uuid4()}"
    store.ensure_collection(CollectionSpec(name, DIMENSION, distance, quantization=quantization))
    rows = np.random.default_rng(15).standard_normal((50, DIMENSION), np.float32)
    if distance == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    store.upsert(name, [point(n, row) for n, row in enumerate(rows)])
    hits = store.search(name, rows[7], limit=20, with_vectors=True)
    assert hits[0].id == an_id(7)
    stored = store.fetch(name, [hit.id for hit in hits])
    for hit in hits:
        assert hit.vector is not None
        assert (hit.vector.dtype.name, hit.vector.shape) == ("float32", (DIMENSION,))
        np.testing.assert_array_equal(hit.vector, stored[hit.id].vector)
        number = int(hit.payload["product"].removeprefix("p"))
        np.testing.assert_allclose(hit.vector, rows[number], rtol=0, atol=1e-6)
    plain = store.search(name, rows[7], limit=20)
    assert [hit.id for hit in plain] == [hit.id for hit in hits]
    assert all(hit.vector is None for hit in plain)
    store.drop_collection(name)


def test_vectors_too_long_for_one_reply_come_as_well(store: VectorStore) -> None:
    name, dimension = f"test-{uuid.uuid4()}", 20_000
    store.ensure_collection(CollectionSpec(name, dimension, "euclidean"))
    rows = np.random.default_rng(16).standard_normal((4, dimension), np.float32)
    store.upsert(name, [point(n, row) for n, row in enumerate(rows)])
    hits = store.search(name, rows[2], limit=1_000, with_vectors=True)
    assert len(hits) == 4
    assert hits[0].vector is not None
    np.testing.assert_array_equal(hits[0].vector, rows[2])
    store.drop_collection(name)


def test_a_search_after_its_deadline_is_refused(store: VectorStore, collection: str) -> None:
    store.upsert(collection, [point(1, unit(1))])
    for timeout in (0.0, -1.0):
        with pytest.raises(DeadlineExceeded):
            store.search(collection, unit(1), limit=1, timeout=timeout)
    assert len(store.search(collection, unit(1), limit=1, timeout=5.0)) == 1
