"""What a collection is made with changes no answer; and aliases."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace

import numpy as np
import pytest

from services.core.adapters.qdrant_vectors import CollectionOptions, QdrantVectors
from services.core.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from services.core.ports import CollectionSpec, VectorStore
from tests.contract import vector_stores
from tests.contract.vector_stores import DIMENSION, Connect, an_id, point, unit

connect, store = vector_stores.connect, vector_stores.store
collection = vector_stores.collection

OPTIONS = {
    "half": CollectionOptions(datatype="float16"),
    "int8": CollectionOptions(quantization="int8", vectors_on_disk=True),
    "disk": CollectionOptions(payload_on_disk=True, hnsw_on_disk=True, vectors_on_disk=False),
    "graph": CollectionOptions(hnsw_m=8, hnsw_ef_construct=32, indexing_threshold_kb=100),
    "cluster": CollectionOptions(shard_number=2, replication_factor=1, write_consistency_factor=1),
}


@pytest.fixture(params=sorted(OPTIONS))
def made(
    connect: Connect, request: pytest.FixtureRequest
) -> Iterator[tuple[QdrantVectors, CollectionOptions]]:
    options = OPTIONS[request.param]
    with closing(connect(options=options, oversampling=2.0)) as vectors:
        yield vectors, options


def test_a_collection_has_the_options_and_answers_as_others_do(
    made: tuple[QdrantVectors, CollectionOptions],
) -> None:
    vectors, options = made
    # Of 8 dimensions, each of which is rounded to 11 bits; hundreds of them err by 4e-5.
    tolerance = 6e-4 if options.datatype == "float16" else 1e-5
    name = f"test-{uuid.uuid4()}"
    vectors.ensure_collection(CollectionSpec(name, DIMENSION))
    kept = vectors.options(name)
    assert kept is not None
    given = {field: value for field, value in asdict(options).items() if value is not None}
    assert {field: asdict(kept)[field] for field in given} == given
    rows = np.random.default_rng(6).standard_normal((300, DIMENSION)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors.upsert(name, [point(n, row) for n, row in enumerate(rows)])
    for query in (unit(1, 2, 3), unit(-1, 0, 1)):
        hits = vectors.search(name, query, limit=10)
        best = np.sort(rows @ query)[::-1][:10]
        np.testing.assert_allclose([hit.score for hit in hits], best, atol=tolerance)
        numbers = {an_id(n): n for n in range(300)}
        scores = [float(rows[numbers[hit.id]] @ query) for hit in hits]
        np.testing.assert_allclose([hit.score for hit in hits], scores, atol=tolerance)
    stored = vectors.fetch(name, [an_id(7)])[an_id(7)].vector
    assert float(stored @ rows[7]) / float(np.linalg.norm(stored)) > 0.999999
    vectors.drop_collection(name)


def test_float16_is_for_cosine_alone(connect: Connect) -> None:
    name = f"test-{uuid.uuid4()}"
    with closing(connect(options=OPTIONS["half"])) as vectors:
        vectors.ensure_collection(CollectionSpec(name, DIMENSION, "euclidean"))
        far = np.full(DIMENSION, 100_000.0, np.float32)  # no float16 is as large
        vectors.upsert(name, [point(1, far)])
        assert vectors.search(name, far, limit=1)[0].score == pytest.approx(0, abs=1e-3)
        vectors.drop_collection(name)


def test_a_collection_that_exists_keeps_its_options(connect: Connect) -> None:
    name = f"test-{uuid.uuid4()}"
    with closing(connect()) as before, closing(connect(options=OPTIONS["int8"])) as after:
        before.ensure_collection(CollectionSpec(name, DIMENSION))
        made = before.options(name)
        after.ensure_collection(CollectionSpec(name, DIMENSION))
        assert made is not None
        assert made.quantization == "none"
        assert after.options(name) == made
        with pytest.raises(FailedPrecondition):
            after.ensure_collection(CollectionSpec(name, DIMENSION + 1))
        after.drop_collection(name)
        assert after.options(name) is None


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("quantization", "on_disk"), [("int8", True), ("int8", None), ("none", False), (None, True)]
)
def test_a_spec_overrules_the_options_of_the_adapter(
    connect: Connect, quantization: str | None, on_disk: bool | None, shared: bool
) -> None:
    name = f"test-{uuid.uuid4()}"
    spec = CollectionSpec(name, DIMENSION, "cosine", shared, quantization, on_disk)
    for options in (CollectionOptions(hnsw_m=8), replace(OPTIONS["int8"], vectors_on_disk=False)):
        with closing(connect(options=options)) as vectors:
            vectors.ensure_collection(spec)
            made = vectors.options(name)
            assert made is not None
            assert made.quantization == (quantization or options.quantization)
            assert made.vectors_on_disk == (options.vectors_on_disk if on_disk is None else on_disk)
            assert made.hnsw_m == (0 if shared else options.hnsw_m)
            other = replace(spec, quantization="int8" if quantization == "none" else "none")
            vectors.ensure_collection(other)
            assert vectors.options(name) == made
            vectors.drop_collection(name)


def test_a_quantization_that_is_not_known_is_refused(store: VectorStore) -> None:
    name = f"test-{uuid.uuid4()}"
    with pytest.raises(InvalidArgument) as refused:
        store.ensure_collection(CollectionSpec(name, DIMENSION, quantization="int4"))
    assert refused.value.metadata["field"] == "quantization"
    with pytest.raises(NotFound):
        store.upsert(name, [point(1, unit(1))])


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantization": "int4"},
        {"datatype": "uint8"},
        {"hnsw_m": -1},
        {"hnsw_ef_construct": 3},
        {"shard_number": 0},
        {"replication_factor": 0},
    ],
    ids=str,
)
def test_impossible_options_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        CollectionOptions(**wrong)  # type: ignore[arg-type]
    assert refused.value.metadata["field"] in wrong


def test_an_alias_is_moved_at_once_and_goes_with_its_collection(store: VectorStore) -> None:
    alias, first, second = (f"test-{uuid.uuid4()}" for _ in range(3))
    for name, vector in ((first, unit(1)), (second, unit(0, 1))):
        store.ensure_collection(CollectionSpec(name, DIMENSION))
        store.upsert(name, [point(1, vector)])
    store.point_alias(alias, first)
    store.point_alias(alias, first)
    assert store.aliases()[alias] == first
    assert store.search(alias, unit(1), limit=1)[0].score == pytest.approx(1, abs=1e-5)
    store.point_alias(alias, second)
    assert store.aliases()[alias] == second
    assert store.search(alias, unit(1), limit=1)[0].score == pytest.approx(0, abs=1e-5)
    store.drop_collection(second)
    assert alias not in store.aliases()
    assert store.search(alias, unit(1), limit=1) == []
    store.drop_collection(first)


def test_an_alias_takes_no_name_and_needs_a_collection(store: VectorStore, collection: str) -> None:
    other, alias = f"test-{uuid.uuid4()}", f"test-{uuid.uuid4()}"
    with pytest.raises(NotFound):
        store.point_alias(alias, other)
    store.ensure_collection(CollectionSpec(other, DIMENSION))
    store.point_alias(alias, collection)
    with pytest.raises(AlreadyExists) as refused:
        store.point_alias(other, collection)
    assert refused.value.reason == "ALIAS_IS_A_COLLECTION"
    with pytest.raises(NotFound):
        store.point_alias(alias, f"test-{uuid.uuid4()}")
    assert store.aliases()[alias] == collection, "a refused change changes nothing"
    assert other not in store.aliases()
    store.drop_collection(other)
