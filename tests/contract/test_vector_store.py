"""What every VectorStore promises."""

import uuid
from itertools import permutations, product

import numpy as np
import pytest

from services.core.domain.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from services.core.domain.filters import SearchFilter
from services.core.ports import CollectionSpec, PayloadChange, VectorStore
from tests.contract import vector_stores
from tests.contract.vector_stores import DIMENSION, an_id, found, point, unit

connect, store = vector_stores.connect, vector_stores.store
collection = vector_stores.collection


def test_a_point_comes_back_as_it_went_in(store: VectorStore, collection: str) -> None:
    sent = point(1, unit(3, 4), 7, price=9.5, stock=3.0, labels=["bio", "neu"], parent="P")
    store.upsert(collection, [sent])
    back = store.fetch(collection, [an_id(1), an_id(2)])
    assert list(back) == [sent.id]
    assert dict(back[sent.id].payload) == sent.payload
    assert back[sent.id].vector.dtype == np.float32
    np.testing.assert_allclose(back[sent.id].vector, sent.vector, atol=1e-6)


def test_the_nearest_points_come_first_with_their_cosine(
    store: VectorStore, collection: str
) -> None:
    vectors = [unit(1), unit(1, 1), unit(0, 1), unit(-1)]
    store.upsert(collection, [point(n, vector) for n, vector in enumerate(vectors)])
    hits = store.search(collection, unit(1, 0.1), limit=3)
    assert [hit.id for hit in hits] == [an_id(0), an_id(1), an_id(2)]
    for hit, vector in zip(hits, vectors, strict=False):
        assert hit.score == pytest.approx(float(vector @ unit(1, 0.1)), abs=1e-5)
    assert hits[0].payload["product"] == "p0"
    assert {"product", "parent", "sha256"} <= hits[0].payload.keys()


def write_revision(
    store: VectorStore, collection: str, number: int, kind: str, revision: int
) -> None:
    labels = [f"{kind}{revision}"]
    new = point(number, unit(revision), revision, labels=labels)
    if kind == "upsert":
        store.upsert(collection, [new])
    else:
        store.set_payloads(collection, [PayloadChange((new.id,), new.payload)])


def test_the_newest_of_upserts_and_payload_changes_wins_in_every_order(
    store: VectorStore, collection: str
) -> None:
    kinds = list(product(("upsert", "payload"), repeat=3))
    cases = list(enumerate(product(permutations((1, 2, 3)), kinds)))
    store.upsert(collection, [point(number, unit(1), 0) for number, _ in cases])
    for number, (order, kind_of) in cases:
        for revision in order:
            write_revision(store, collection, number, kind_of[revision - 1], revision)
    stored = store.fetch(collection, [an_id(number) for number, _ in cases])
    for number, (order, kind_of) in cases:
        payload = stored[an_id(number)].payload
        assert payload["revision"] == 3, (order, kind_of)
        assert payload["labels"] == [f"{kind_of[2]}3"], (order, kind_of)


def test_an_older_delete_leaves_a_newer_point(store: VectorStore, collection: str) -> None:
    store.upsert(collection, [point(1, unit(1), 5), point(2, unit(1), 3)])
    store.delete(collection, [an_id(1), an_id(2), an_id(3)], revision=4)
    assert store.fetch(collection, [an_id(1), an_id(2)]).keys() == {an_id(1)}
    store.delete(collection, [an_id(1)], revision=5)
    assert store.count(collection) == 0


def test_one_batch_may_hold_points_of_many_revisions(store: VectorStore, collection: str) -> None:
    store.upsert(collection, [point(n, unit(1), 10, labels=["old"]) for n in range(4)])
    store.upsert(collection, [point(n, unit(1), 8 + n, labels=["new"]) for n in (3, 0, 2, 1)])
    stored = store.fetch(collection, [an_id(n) for n in range(4)])
    assert [stored[an_id(n)].payload["labels"] for n in range(4)] == [["old"]] * 2 + [["new"]] * 2
    store.upsert(collection, [point(9, unit(1), 2), point(9, unit(0, 1), 1)])
    assert store.fetch(collection, [an_id(9)])[an_id(9)].payload["revision"] == 2


def test_repeats_change_nothing(store: VectorStore, collection: str) -> None:
    points = [point(n, unit(1, n), 4) for n in range(5)]
    change = PayloadChange((an_id(1), an_id(77)), point(1, unit(1), 5, labels=["x"]).payload)
    for _ in range(2):
        store.upsert(collection, points)
        store.set_payloads(collection, [change])
        store.delete(collection, [an_id(0)], revision=3)
    assert store.count(collection) == 5
    assert store.fetch(collection, [an_id(1)])[an_id(1)].payload["labels"] == ["x"]


def test_a_payload_change_replaces_the_whole_payload_and_keeps_the_vector(
    store: VectorStore, collection: str
) -> None:
    store.upsert(collection, [point(1, unit(3, 4), 1, price=5.0, labels=["a"])])
    payload = {"product": "p1", "sku": "S", "sha256": "0", "parent": "", "revision": 2}
    store.set_payloads(collection, [PayloadChange((an_id(1),), payload)])
    stored = store.fetch(collection, [an_id(1)])[an_id(1)]
    assert dict(stored.payload) == payload
    np.testing.assert_allclose(stored.vector, unit(3, 4), atol=1e-6)


@pytest.mark.parametrize("length", [1, DIMENSION - 1, DIMENSION + 1])
def test_a_vector_of_another_length_is_refused(
    store: VectorStore, collection: str, length: int
) -> None:
    wrong = np.ones(length, np.float32)
    with pytest.raises(InvalidArgument) as refused:
        store.search(collection, wrong, limit=1)
    assert refused.value.reason == "DIMENSION_MISMATCH"
    with pytest.raises(InvalidArgument) as refused:
        store.upsert(collection, [point(1, unit(1)), point(2, wrong)])
    assert refused.value.reason == "DIMENSION_MISMATCH"
    assert store.count(collection) == 0


def test_an_unknown_collection_is_empty_and_takes_no_points(store: VectorStore) -> None:
    name = f"test-{uuid.uuid4()}"
    assert store.search(name, unit(1), limit=5) == []
    assert store.count(name) == 0
    assert store.fetch(name, [an_id(1)]) == {}
    store.drop_collection(name)
    store.delete(name, [an_id(1)], revision=1)
    store.set_payloads(name, [PayloadChange((an_id(1),), {"revision": 1})])
    with pytest.raises(NotFound):
        store.upsert(name, [point(1, unit(1))])


def test_a_dropped_collection_can_be_made_again(store: VectorStore, collection: str) -> None:
    store.upsert(collection, [point(1, unit(1))])
    store.drop_collection(collection)
    assert store.search(collection, unit(1), limit=5) == []
    assert store.count(collection) == 0
    store.ensure_collection(CollectionSpec(collection, DIMENSION))
    assert store.count(collection) == 0


def test_a_collection_keeps_its_shape(store: VectorStore, collection: str) -> None:
    store.upsert(collection, [point(1, unit(1))])
    store.ensure_collection(CollectionSpec(collection, DIMENSION))
    assert store.count(collection) == 1
    for other in (
        CollectionSpec(collection, DIMENSION + 1),
        CollectionSpec(collection, DIMENSION, "manhattan"),
    ):
        with pytest.raises(FailedPrecondition):
            store.ensure_collection(other)


@pytest.mark.parametrize("word", ["Süßes > Kaugummi", "日本語", "🍬" * 40, "a'b\"c\\d", " x\t\n"])
def test_any_text_can_be_stored_and_filtered(
    store: VectorStore, collection: str, word: str
) -> None:
    store.upsert(collection, [point(1, unit(1), labels=[word]), point(2, unit(1), labels=["y"])])
    assert store.fetch(collection, [an_id(1)])[an_id(1)].payload["labels"] == [word]
    assert found(store, collection, SearchFilter(labels=(word,))) == {"SKU-1"}


def test_collection_names_are_no_paths(store: VectorStore) -> None:
    names = [f"../../{uuid.uuid4()}", f"a/b\\c {uuid.uuid4()}", f"Ünï-{uuid.uuid4()}" + "x" * 150]
    for name in names:
        try:
            store.ensure_collection(CollectionSpec(name, DIMENSION))
        except InvalidArgument:
            continue  # refusing is as good as keeping it
        store.upsert(name, [point(1, unit(1))])
        assert store.count(name) == 1
        store.drop_collection(name)
        assert store.count(name) == 0


def test_five_hundred_points_go_in_one_call(store: VectorStore, collection: str) -> None:
    rows = np.random.default_rng(5).standard_normal((500, DIMENSION)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    store.upsert(collection, [point(n, row, n % 3) for n, row in enumerate(rows)])
    assert store.count(collection) == 500
    assert len(store.fetch(collection, [an_id(n) for n in range(500)])) == 500
    query = rows[123]
    hits = store.search(collection, query, limit=10)
    nearest = np.argsort(-(rows @ query))[:10]
    assert [hit.id for hit in hits] == [an_id(int(n)) for n in nearest]
    store.delete(collection, [an_id(n) for n in range(500)], revision=2)
    assert store.count(collection) == 0
