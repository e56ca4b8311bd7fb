"""The indexing worker over a real object store and the local vector server."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import DataLoss, InvalidArgument, NotFound
from services.core.messages import DropCollection, IndexShard
from services.core.ports import VectorStore
from services.core.shard_files import Embeddings, PlannedPoint, write_embeddings, write_plan
from services.indexing.handlers import Indexer
from tests.contract.vector_stores import own_server

DIMENSION = 16
ROWS = np.random.default_rng(11).standard_normal((300, DIMENSION)).astype(np.float32)
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors() -> Iterator[VectorStore]:
    with own_server() as connect, closing(connect()) as store:
        yield store


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path / "objects")


@pytest.fixture
def indexer(objects: FileObjects, vectors: VectorStore) -> Indexer:
    return Indexer(objects, vectors)


@pytest.fixture
def collection() -> str:
    return f"test-{uuid.uuid4()}"


def an_id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def keep_embeddings(objects: FileObjects, key: str, rows: slice) -> None:
    kept = ROWS[rows]
    names = tuple(f"{n:064x}" for n in range(len(kept)))
    norms = np.ones(len(kept), np.float32)
    objects.put(key, write_embeddings(Embeddings(names, kept, norms)))


def planned(action: str, number: int, revision: int, **source: Any) -> PlannedPoint:
    payload = {"product": f"p{number}", "sku": f"S{number}", "labels": [f"r{revision}"]}
    return PlannedPoint(action, an_id(number), revision, payload, **source)


def row_of(key: str, row: int) -> dict[str, Any]:
    return {"embeddings": (key,), "embedding_rows": (row,)}


def shard(objects: FileObjects, collection: str, points: Sequence[PlannedPoint]) -> IndexShard:
    key = f"plans/{uuid.uuid4()}"
    objects.put(key, write_plan(points))
    return IndexShard(
        id="shard-1",
        operation="operations/1",
        revision=1,
        sequence=0,
        collection=collection,
        dimension=DIMENSION,
        distance="cosine",
        plan=key,
    )


@pytest.fixture
def full(objects: FileObjects, collection: str) -> IndexShard:
    """300 points from two embeddings files, in no particular order."""
    keep_embeddings(objects, "embeddings/a", slice(0, 200))
    keep_embeddings(objects, "embeddings/b", slice(200, 300))
    points = [
        planned("upsert", n, 1, **row_of("embeddings/a", n))
        if n < 200
        else planned("upsert", n, 1, **row_of("embeddings/b", n - 200))
        for n in range(300)
    ]
    order = np.random.default_rng(1).permutation(300)
    return shard(objects, collection, [points[int(n)] for n in order])


def test_every_point_is_stored_with_its_own_embedding(
    indexer: Indexer, vectors: VectorStore, full: IndexShard
) -> None:
    assert indexer.index_shard(full).points == 300
    assert vectors.count(full.collection) == 300
    stored = vectors.fetch(full.collection, [an_id(n) for n in range(300)])
    for number in range(300):
        found = stored[an_id(number)]
        np.testing.assert_allclose(found.vector, ROWS[number], atol=1e-6)
        assert (found.payload["sku"], found.payload["revision"]) == (f"S{number}", 1)


def test_a_shard_delivered_twice_is_indexed_once(
    indexer: Indexer, vectors: VectorStore, full: IndexShard
) -> None:
    assert indexer.index_shard(full) == indexer.index_shard(full)
    assert vectors.count(full.collection) == 300


def test_a_late_shard_changes_nothing_that_is_newer(
    indexer: Indexer, vectors: VectorStore, objects: FileObjects, full: IndexShard
) -> None:
    newer = [planned("payload", 1, 5), planned("delete", 2, 5)]
    indexer.index_shard(full)
    indexer.index_shard(shard(objects, full.collection, newer))
    late = [planned("delete", 1, 4), planned("payload", 1, 3), planned("delete", 3, 0)]
    indexer.index_shard(shard(objects, full.collection, late))
    stored = vectors.fetch(full.collection, [an_id(n) for n in (1, 2, 3)])
    assert stored.keys() == {an_id(1), an_id(3)}
    assert stored[an_id(1)].payload["labels"] == ["r5"]


def test_the_newest_action_of_one_plan_wins_wherever_it_stands(
    indexer: Indexer, vectors: VectorStore, objects: FileObjects, collection: str
) -> None:
    keep_embeddings(objects, "embeddings/a", slice(0, 9))
    source = row_of("embeddings/a", 3)
    plan = [
        planned("delete", 1, 7),
        planned("upsert", 1, 6, **source),
        planned("payload", 2, 9),
        planned("upsert", 2, 8, **source),
        planned("upsert", 3, 5, **source),
        planned("delete", 3, 4),
    ]
    indexer.index_shard(shard(objects, collection, plan))
    stored = vectors.fetch(collection, [an_id(n) for n in (1, 2, 3)])
    revisions = {key: point.payload["revision"] for key, point in stored.items()}
    assert revisions == {an_id(2): 9, an_id(3): 5}


def test_an_empty_plan_makes_the_collection(
    indexer: Indexer, vectors: VectorStore, objects: FileObjects, collection: str
) -> None:
    message = shard(objects, collection, [])
    assert indexer.index_shard(message).points == 0
    with pytest.raises(InvalidArgument):  # an unknown collection would search as empty
        vectors.search(collection, np.ones(3, np.float32), limit=1)


def test_a_dropped_collection_is_gone_and_may_be_dropped_again(
    indexer: Indexer, vectors: VectorStore, full: IndexShard
) -> None:
    indexer.index_shard(full)
    message = DropCollection(
        id="drop", operation="operations/1", revision=2, sequence=0, collection=full.collection
    )
    for _ in range(2):
        indexer.drop(message)
        assert vectors.count(full.collection) == 0


def test_a_plan_that_cannot_be_applied_says_why(
    indexer: Indexer, objects: FileObjects, collection: str
) -> None:
    keep_embeddings(objects, "embeddings/a", slice(0, 9))
    beyond = planned("upsert", 1, 1, **row_of("embeddings/a", 9))
    with pytest.raises(DataLoss):
        indexer.index_shard(shard(objects, collection, [beyond]))
    missing = planned("upsert", 1, 1, **row_of("embeddings/none", 0))
    with pytest.raises(NotFound):
        indexer.index_shard(shard(objects, collection, [missing]))
    with pytest.raises(InvalidArgument) as refused:
        indexer.index_shard(shard(objects, collection, [planned("paint", 1, 1)]))
    assert refused.value.reason == "UNKNOWN_ACTION"
