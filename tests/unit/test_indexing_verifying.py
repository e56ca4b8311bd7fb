"""Verifying a collection: what is missing, holds another vector, or is not found is named."""

from dataclasses import replace

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.model import Model
from services.core.messages import IndexShard, VerifyCollection
from services.core.ports import Float32, Point, VectorStore
from services.core.shard_files import PlannedPoint
from services.indexing.handlers import Indexer
from tests.unit import test_indexing, test_indexing_models
from tests.unit.test_indexing import DIMENSION, ROWS, an_id, keep_embeddings, planned, row_of, shard
from tests.unit.test_indexing_models import LEFT, RIGHT, WIDE, spec_of

vectors, objects, indexer = test_indexing.vectors, test_indexing.objects, test_indexing.indexer
collection, duo = test_indexing.collection, test_indexing_models.duo

PROBES = range(0, 20)


def plan_of(rows: range) -> list[PlannedPoint]:
    return [planned("upsert", row, 1, **row_of("embeddings/all", row)) for row in rows]


def verification(indexed: IndexShard, probes: IndexShard) -> VerifyCollection:
    return VerifyCollection(
        id="verify",
        operation="operations/1",
        revision=1,
        collection=indexed.collection,
        tenant=indexed.tenant,
        model=indexed.model,
        probes=probes.plan,
    )


@pytest.fixture(params=["", "shop"], ids=["own", "shared"])
def verify(
    request: pytest.FixtureRequest, indexer: Indexer, objects: FileObjects, collection: str
) -> VerifyCollection:
    """Of 20 probes, after 30 points were indexed."""
    keep_embeddings(objects, "embeddings/all", slice(0, 300))
    full = replace(shard(objects, collection, plan_of(range(30))), tenant=request.param)
    indexer.index_shard(full)
    return verification(full, shard(objects, collection, plan_of(PROBES)))


def test_a_collection_that_was_filled_well_passes(
    indexer: Indexer, verify: VerifyCollection
) -> None:
    outcome = indexer.verify(verify)
    assert (outcome.points, outcome.probes) == (30, 20)
    assert outcome.missing == outcome.different == outcome.unfound == ()


def overwrite(vectors: VectorStore, collection: str, number: int, vector: Float32) -> None:
    (stored,) = vectors.fetch(collection, [an_id(number)]).values()
    payload = {**stored.payload, "revision": 2}
    vectors.upsert(collection, [Point(stored.id, vector, payload)])


def test_points_that_are_missing_or_have_another_vector_are_named(
    indexer: Indexer, vectors: VectorStore, verify: VerifyCollection
) -> None:
    vectors.delete(verify.collection, [an_id(3), an_id(8)], revision=9)
    overwrite(vectors, verify.collection, 5, -ROWS[5])  # the farthest of all
    near = ROWS[6] + np.eye(1, DIMENSION, dtype=np.float32)[0] * 0.05  # a cosine of 0.999
    overwrite(vectors, verify.collection, 6, near)
    outcome = indexer.verify(verify)
    assert outcome.points == 28
    assert outcome.missing == (an_id(3), an_id(8))
    assert set(outcome.different) == {an_id(5), an_id(6)}
    assert outcome.unfound == (an_id(5),)


def test_a_point_behind_ten_of_the_same_picture_counts_as_found(
    indexer: Indexer, vectors: VectorStore, verify: VerifyCollection
) -> None:
    (stored,) = vectors.fetch(verify.collection, [an_id(4)]).values()
    equals = [replace(stored, id=an_id(1000 + number)) for number in range(40)]
    vectors.upsert(verify.collection, equals)
    outcome = indexer.verify(verify)
    assert outcome.points == 70
    assert outcome.missing == outcome.different == outcome.unfound == ()


def test_points_of_other_catalogues_count_for_nothing(
    indexer: Indexer, vectors: VectorStore, objects: FileObjects, collection: str
) -> None:
    keep_embeddings(objects, "embeddings/all", slice(0, 300))
    theirs = replace(shard(objects, collection, plan_of(PROBES)), tenant="theirs")
    indexer.index_shard(theirs)
    ours = replace(theirs, tenant="ours")
    outcome = indexer.verify(verification(ours, theirs))
    assert (outcome.points, outcome.probes) == (0, 20)
    assert set(outcome.missing) == {an_id(number) for number in PROBES}


def test_an_unknown_collection_misses_every_probe(
    indexer: Indexer, objects: FileObjects, collection: str
) -> None:
    keep_embeddings(objects, "embeddings/all", slice(0, 300))
    plan = shard(objects, collection, plan_of(PROBES))
    outcome = indexer.verify(verification(plan, plan))
    assert (outcome.points, outcome.probes, len(outcome.missing)) == (0, 20, 20)


def test_probes_are_compared_with_what_the_whole_model_gives(
    indexer: Indexer,
    objects: FileObjects,
    collection: str,
    duo: tuple[Model, Float32],
) -> None:
    model, _ = duo
    points = test_indexing_models.scattered(objects)
    full = test_indexing_models.message(objects, collection, points, model)
    indexer.index_shard(full)
    outcome = indexer.verify(verification(full, full))
    assert (outcome.points, outcome.probes) == (40, 40)
    assert outcome.missing == outcome.different == outcome.unfound == ()
    weights = test_indexing_models.random_linear(LEFT + RIGHT, WIDE, seed=9)
    other = replace(model, linear=spec_of(objects, weights))
    outcome = indexer.verify(replace(verification(full, full), model=other.to_json()))
    assert outcome.missing == ()
    assert len(outcome.different) == 40
