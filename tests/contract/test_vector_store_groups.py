"""What every VectorStore promises of searches in groups and of many vectors, against numpy."""

import uuid
from collections.abc import Iterator

import numpy as np
import pytest

from services.core.domain.errors import DeadlineExceeded, InvalidArgument
from services.core.domain.filters import NumericRange, SearchFilter
from services.core.domain.ranking import GroupBy
from services.core.ports import CollectionSpec, Float32, Point, VectorStore
from tests.contract import vector_stores
from tests.contract.vector_stores import DIMENSION, an_id, point, unit

connect, store = vector_stores.connect, vector_stores.store
collection = vector_stores.collection

CHEAP = SearchFilter(ranges=(NumericRange("price", max=50.0),))
Ranked = list[tuple[str, str, list[str]]]  # field, id, hits


def shop_points(count: int = 240) -> list[Point]:
    """Eighty products of three images; a third of the products have no parent."""
    rows = np.random.default_rng(8).standard_normal((count, DIMENSION)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    points = []
    for number, row in enumerate(rows):
        product = number % (count // 3)
        parent = "" if product % 3 == 0 else f"style{product % 7}"
        payload = {"product": f"p{product}", "parent": parent, "price": float(product)}
        points.append(point(number, row, 1, **payload))
    return points


POINTS = shop_points()


@pytest.fixture(scope="module")
def shop(store: VectorStore) -> Iterator[str]:
    name = f"test-{uuid.uuid4()}"
    store.ensure_collection(CollectionSpec(name, DIMENSION))
    store.upsert(name, POINTS)
    yield name
    store.drop_collection(name)


def ordered(query: Float32, where: SearchFilter | None, threshold: float | None) -> list[Point]:
    """The points that a search may find, nearest first."""
    kept = [each for each in POINTS if where is None or each.payload["price"] <= 50]
    scored = sorted(kept, key=lambda each: -float(each.vector @ query))
    return [each for each in scored if threshold is None or float(each.vector @ query) >= threshold]


def grouped(points: list[Point], by: GroupBy, groups: int, per_group: int) -> Ranked:
    found: dict[tuple[str, str], list[str]] = {}
    for each in points:
        field = "parent" if by is GroupBy.PARENT and each.payload["parent"] else "product"
        found.setdefault((field, each.payload[field]), []).append(each.id)
    return [(*key, ids[:per_group]) for key, ids in found.items()][:groups]


@pytest.mark.parametrize("by", list(GroupBy))
@pytest.mark.parametrize(("groups", "per_group"), [(1, 1), (5, 2), (12, 3), (200, 10)])
@pytest.mark.parametrize(
    ("where", "threshold"), [(None, None), (CHEAP, None), (None, 0.4), (CHEAP, 0.2)]
)
def test_groups_are_those_of_comparing_all(
    store: VectorStore,
    shop: str,
    by: GroupBy,
    groups: int,
    per_group: int,
    where: SearchFilter | None,
    threshold: float | None,
) -> None:
    for query in (unit(1, 2), unit(-1, 0, 3)):
        found = store.search_groups(
            shop,
            query,
            group_by=by,
            groups=groups,
            per_group=per_group,
            where=where,
            score_threshold=threshold,
        )
        ids = [(str(each.by), each.id, [hit.id for hit in each.hits]) for each in found]
        assert ids == grouped(ordered(query, where, threshold), by, groups, per_group)
        vectors = {each.id: each.vector for each in POINTS}
        for hit in (hit for each in found for hit in each.hits):
            assert hit.score == pytest.approx(float(vectors[hit.id] @ query), abs=1e-5)


def test_a_group_with_most_of_the_points_hides_no_other(
    store: VectorStore, collection: str
) -> None:
    near = [point(n, unit(1, 0.1 + n / 1000), product="big", parent="P") for n in range(400)]
    far = [point(1000 + n, unit(1, 2 + n), product=f"small{n}", parent="") for n in range(3)]
    store.upsert(collection, near + far)
    for by in GroupBy:
        found = store.search_groups(collection, unit(1), group_by=by, groups=4, per_group=2)
        first = "P" if by is GroupBy.PARENT else "big"
        assert [each.id for each in found] == [first, "small0", "small1", "small2"]
        assert [hit.id for hit in found[0].hits] == [an_id(0), an_id(1)]


def test_equal_scores_lose_no_group_and_no_hit(store: VectorStore, collection: str) -> None:
    store.upsert(collection, [point(n, unit(1), product=f"p{n // 2}") for n in range(20)])
    found = store.search_groups(
        collection, unit(1), group_by=GroupBy.PRODUCT, groups=10, per_group=2
    )
    assert {each.id for each in found} == {f"p{n}" for n in range(10)}
    assert {hit.id for each in found for hit in each.hits} == {an_id(n) for n in range(20)}
    (some,) = store.search_batch(collection, [unit(1)], limit=7)
    assert len({hit.id for hit in some}) == 7


def test_products_without_a_parent_field_are_groups_of_their_own(
    store: VectorStore, collection: str
) -> None:
    points = [point(n, unit(1, n), product=f"p{n}") for n in range(3)]
    bare = [Point(p.id, p.vector, {"product": p.payload["product"], "revision": 1}) for p in points]
    store.upsert(collection, bare)
    found = store.search_groups(collection, unit(1), group_by=GroupBy.PARENT, groups=5, per_group=2)
    assert [(each.by, each.id) for each in found] == [(GroupBy.PRODUCT, f"p{n}") for n in range(3)]


@pytest.mark.parametrize(("where", "threshold"), [(None, None), (CHEAP, None), (CHEAP, 0.2)])
def test_a_batch_finds_what_each_search_finds(
    store: VectorStore, shop: str, where: SearchFilter | None, threshold: float | None
) -> None:
    queries = [unit(1, n, -n) for n in range(70)]
    found = store.search_batch(shop, queries, limit=9, where=where, score_threshold=threshold)
    assert len(found) == len(queries)
    for query, hits in zip(queries, found, strict=True):
        expected = ordered(query, where, threshold)[:9]
        assert [hit.id for hit in hits] == [each.id for each in expected]
        assert all(hit.payload["product"] for hit in hits)


@pytest.mark.parametrize("distance", ["euclidean", "manhattan"])
def test_groups_and_batches_score_distances_below_zero(store: VectorStore, distance: str) -> None:
    name = f"test-{uuid.uuid4()}"
    store.ensure_collection(CollectionSpec(name, DIMENSION, distance))
    rows = [np.full(DIMENSION, number, np.float32) for number in range(6)]
    store.upsert(name, [point(n, row, product=f"p{n // 2}") for n, row in enumerate(rows)])
    query = np.full(DIMENSION, 4.2, np.float32)
    groups = store.search_groups(name, query, group_by=GroupBy.PRODUCT, groups=2, per_group=2)
    assert [[hit.id for hit in each.hits] for each in groups] == [
        [an_id(4), an_id(5)],
        [an_id(3), an_id(2)],
    ]
    threshold = groups[0].hits[1].score - 1e-3
    (hits,) = store.search_batch(name, [query], limit=9, score_threshold=threshold)
    assert [hit.id for hit in hits] == [an_id(4), an_id(5)]
    assert 0 > hits[0].score > hits[1].score
    store.drop_collection(name)


def test_nothing_is_found_where_nothing_is(store: VectorStore, collection: str) -> None:
    for name in (collection, f"test-{uuid.uuid4()}"):
        assert store.search_batch(name, [unit(1), unit(2)], limit=3) == [[], []]
        by = GroupBy.PARENT
        assert store.search_groups(name, unit(1), group_by=by, groups=2, per_group=2) == []
    assert store.search_batch(collection, [], limit=3) == []


def test_a_wrong_vector_or_a_deadline_that_passed_is_refused(store: VectorStore, shop: str) -> None:
    wrong = np.ones(DIMENSION + 1, np.float32)
    by = GroupBy.PRODUCT
    with pytest.raises(InvalidArgument):
        store.search_batch(shop, [unit(1), wrong], limit=1)
    with pytest.raises(InvalidArgument):
        store.search_groups(shop, wrong, group_by=by, groups=1, per_group=1)
    with pytest.raises(DeadlineExceeded):
        store.search_batch(shop, [unit(1)], limit=1, timeout=0.0)
    with pytest.raises(DeadlineExceeded):
        store.search_groups(shop, unit(1), group_by=by, groups=1, per_group=1, timeout=0.0)
