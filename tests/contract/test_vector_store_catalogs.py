"""What every VectorStore promises of collections that many catalogues share."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from services.core.domain.errors import InvalidArgument
from services.core.domain.filters import SearchFilter
from services.core.domain.ranking import GroupBy
from services.core.ports import CollectionSpec, PayloadChange, Point, VectorStore
from tests.contract import vector_stores
from tests.contract.vector_stores import DIMENSION, point, unit

connect, store = vector_stores.connect, vector_stores.store

TENANTS, OF_EACH = 2_000, 5


def of_catalog(catalog: str, points: Sequence[Point]) -> list[Point]:
    """The same products in a catalogue: every id names its catalogue as well."""
    return [
        replace(
            each,
            id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{catalog} {each.id}")),
            payload={**each.payload, "catalog": catalog},
        )
        for each in points
    ]


ANNE = of_catalog("anne", [point(n, unit(1, n), product=f"p{n // 2}") for n in range(6)])
BEN = of_catalog("ben", [point(n, unit(1, n + 0.5), product=f"p{n // 2}") for n in range(6)])


@pytest.fixture
def shared(store: VectorStore) -> Iterator[str]:
    """A collection with six points of three products in each of two catalogues."""
    name = f"test-{uuid.uuid4()}"
    store.ensure_collection(CollectionSpec(name, DIMENSION, shared=True))
    store.upsert(name, [*ANNE, *BEN])
    yield name
    store.drop_collection(name)


def ids(points: Sequence[Point]) -> list[str]:
    return [each.id for each in points]


@pytest.mark.parametrize(("catalog", "own"), [("anne", ANNE), ("ben", BEN), ("zoe", [])])
def test_a_catalogue_finds_its_own_points_alone(
    store: VectorStore, shared: str, catalog: str, own: list[Point]
) -> None:
    query = unit(1)
    hits = store.search(shared, query, limit=50, catalog=catalog)
    assert [hit.id for hit in hits] == ids(own)
    batch = store.search_batch(shared, [query, -query], limit=50, catalog=catalog)
    assert [[hit.id for hit in each] for each in batch] == [ids(own), ids(own)[::-1]]
    for by in GroupBy:
        groups = store.search_groups(
            shared, query, group_by=by, groups=50, per_group=50, catalog=catalog
        )
        assert [hit.id for each in groups for hit in each.hits] == ids(own)
    assert store.count(shared, catalog) == len(own)
    assert store.count(shared) == 12


def test_filters_and_thresholds_hold_within_a_catalogue(store: VectorStore, shared: str) -> None:
    where = SearchFilter(skus=("SKU-1", "SKU-4"))
    hits = store.search(shared, unit(1), limit=50, catalog="ben", where=where)
    assert [hit.id for hit in hits] == [BEN[1].id, BEN[4].id]
    (found,) = store.search_batch(
        shared, [unit(1)], limit=50, catalog="ben", where=where, score_threshold=0.5
    )
    assert [hit.id for hit in found] == [BEN[1].id]
    groups = store.search_groups(
        shared,
        unit(1),
        group_by=GroupBy.PRODUCT,
        groups=9,
        per_group=9,
        where=where,
        catalog="ben",
    )
    assert [each.id for each in groups] == ["p0", "p2"]


def test_a_dropped_catalogue_leaves_the_others(store: VectorStore, shared: str) -> None:
    for _ in range(2):
        store.drop_catalog(shared, "anne")
        assert store.count(shared, "anne") == 0
        assert store.fetch(shared, ids(ANNE)) == {}
        assert store.search(shared, unit(1), limit=50, catalog="anne") == []
    assert [hit.id for hit in store.search(shared, unit(1), limit=50, catalog="ben")] == ids(BEN)
    assert store.fetch(shared, ids(BEN)).keys() == set(ids(BEN))
    store.upsert(shared, ANNE[:2])
    assert store.count(shared, "anne") == 2
    store.drop_catalog(f"test-{uuid.uuid4()}", "anne")


def test_changes_and_deletes_reach_the_points_of_one_catalogue(
    store: VectorStore, shared: str
) -> None:
    payload = {**ANNE[0].payload, "labels": ["new"], "revision": 2}
    store.set_payloads(shared, [PayloadChange((ANNE[0].id,), payload)])
    store.delete(shared, [ANNE[1].id], revision=2)
    assert store.count(shared, "anne") == 5
    assert store.count(shared, "ben") == 6
    stored = store.fetch(shared, [ANNE[0].id, BEN[0].id])
    assert stored[ANNE[0].id].payload["labels"] == ["new"]
    assert stored[BEN[0].id].payload["labels"] == []


def test_a_search_in_a_shared_collection_names_its_catalogue(
    store: VectorStore, shared: str
) -> None:
    by = GroupBy.PRODUCT
    for search in (
        lambda: store.search(shared, unit(1), limit=1),
        lambda: store.search_batch(shared, [unit(1)], limit=1),
        lambda: store.search_groups(shared, unit(1), group_by=by, groups=1, per_group=1),
    ):
        with pytest.raises(InvalidArgument) as refused:
            search()
        assert refused.value.reason == "CATALOG_MISSING"


@pytest.mark.parametrize("word", ["", "a>b", "日本語", "x" * 200, "a'b\"c\\d"])
def test_any_text_can_name_a_catalogue(store: VectorStore, shared: str, word: str) -> None:
    own = of_catalog(word, [point(1, unit(1))])
    store.upsert(shared, own)
    assert [hit.id for hit in store.search(shared, unit(1), limit=9, catalog=word)] == ids(own)
    store.drop_catalog(shared, word)
    assert store.count(shared) == 12


def test_two_thousand_catalogues_in_one_collection_each_find_their_nearest(
    store: VectorStore,
) -> None:
    name = f"test-{uuid.uuid4()}"
    spec = CollectionSpec(name, DIMENSION, shared=True)
    store.ensure_collection(spec)
    rows = np.random.default_rng(12).standard_normal((TENANTS, OF_EACH, DIMENSION), np.float32)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    tenants = [
        of_catalog(f"shop-{tenant}", [point(n, row) for n, row in enumerate(own)])
        for tenant, own in enumerate(rows)
    ]
    for start in range(0, TENANTS, 200):
        store.upsert(name, [each for own in tenants[start : start + 200] for each in own])
    store.ensure_collection(spec)
    assert store.count(name) == TENANTS * OF_EACH
    query = unit(1, -2, 3)
    for tenant in range(0, TENANTS, 37):
        hits = store.search(name, query, limit=OF_EACH + 1, catalog=f"shop-{tenant}")
        order = np.argsort(-(rows[tenant] @ query))
        assert [hit.id for hit in hits] == [tenants[tenant][int(n)].id for n in order]
        assert store.count(name, f"shop-{tenant}") == OF_EACH
    store.drop_catalog(name, "shop-37")
    assert store.count(name) == (TENANTS - 1) * OF_EACH
    store.drop_collection(name)
