"""Indexing with models of several members and linear parts, and into shared collections."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import DataLoss, InvalidArgument, NotFound
from services.core.domain.model import LinearSpec, Member, Model
from services.core.domain.model_spec import ModelSpec
from services.core.messages import DropCollection, IndexShard
from services.core.ports import Float32, VectorStore
from services.core.shard_files import Embeddings, PlannedPoint, write_embeddings
from services.indexing.handlers import Indexer
from services.retrieval.linear import Linear
from services.retrieval.linear_store import LinearStore
from tests.unit import test_indexing
from tests.unit.test_indexing import an_id, planned, shard

vectors, objects, indexer = test_indexing.vectors, test_indexing.objects, test_indexing.indexer
collection = test_indexing.collection

ROWS = 40
LEFT, RIGHT, WIDE = 6, 10, 12  # values that the members give, and the ensemble
GENERATOR = np.random.default_rng(21)


def unit(rows: Float32) -> Float32:
    lengths: Float32 = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


def random_rows(dimension: int) -> Float32:
    return unit(GENERATOR.standard_normal((ROWS, dimension)).astype(np.float32))


LEFTS, RIGHTS = random_rows(LEFT), random_rows(RIGHT)
NORMS = GENERATOR.uniform(1, 9, ROWS).astype(np.float32)


def embedder(dimension: int) -> ModelSpec:
    return ModelSpec(
        backbone=f"net{dimension}",
        weights_sha256="0" * 64,
        embedding_dim=dimension,
        resize=32,
        crop=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        precision="fp32",
    )


def applied(linear: Linear, rows: Float32) -> Float32:
    return np.asarray((rows - linear.mean) @ linear.matrix, np.float32)


def random_linear(input_dim: int, output_dim: int, seed: int) -> Linear:
    generator = np.random.default_rng(seed)
    return Linear(
        generator.standard_normal(input_dim).astype(np.float32),
        generator.standard_normal((input_dim, output_dim)).astype(np.float32),
    )


def spec_of(objects: FileObjects, linear: Linear, *, norms: bool = False) -> LinearSpec:
    sha256 = LinearStore(objects).put(linear)
    return LinearSpec(sha256, linear.input_dim, linear.output_dim, norms)


@pytest.fixture
def duo(objects: FileObjects) -> tuple[Model, Float32]:
    """Two members, the second whitened, then PCA of the whole; and what it gives for every row."""
    white, whole = random_linear(RIGHT, RIGHT, 1), random_linear(LEFT + RIGHT, WIDE, 2)
    members = (Member(embedder(LEFT)), Member(embedder(RIGHT), spec_of(objects, white, norms=True)))
    right = unit(applied(white, RIGHTS * NORMS[:, None]))
    joined = np.concatenate([LEFTS, right], axis=1) * np.float32(0.5**0.5)
    return Model(members, spec_of(objects, whole)), unit(applied(whole, joined))


def keep(objects: FileObjects, key: str, rows: Float32, norms: Float32) -> None:
    names = tuple(f"{n:064x}" for n in range(len(rows)))
    objects.put(key, write_embeddings(Embeddings(names, rows, norms)))


def scattered(objects: FileObjects) -> list[PlannedPoint]:
    """Every row of both members: the left ones in four files, the right ones in two others."""
    for part in range(4):
        keep(objects, f"left/{part}", LEFTS[part::4], NORMS[part::4])
    for part, rows in enumerate((slice(0, 15), slice(15, ROWS))):
        keep(objects, f"right/{part}", RIGHTS[rows], NORMS[rows])
    plan = []
    for row in range(ROWS):
        right = ("right/0", row) if row < 15 else ("right/1", row - 15)
        files = (f"left/{row % 4}", right[0])
        rows_of_files = (row // 4, right[1])
        plan.append(planned("upsert", row, 1, embeddings=files, embedding_rows=rows_of_files))
    return [plan[int(row)] for row in np.random.default_rng(3).permutation(ROWS)]


def message(
    objects: FileObjects, collection: str, points: Sequence[PlannedPoint], model: Model
) -> IndexShard:
    plain = shard(objects, collection, points)
    return replace(plain, dimension=model.embedding_dim, model=model.to_json())


def test_every_point_has_the_vector_that_the_whole_model_gives(
    indexer: Indexer,
    vectors: VectorStore,
    objects: FileObjects,
    collection: str,
    duo: tuple[Model, Float32],
) -> None:
    model, expected = duo
    plan = message(objects, collection, scattered(objects), model)
    for _ in range(2):
        assert indexer.index_shard(plan).points == ROWS
    assert vectors.count(collection) == ROWS
    stored = vectors.fetch(collection, [an_id(row) for row in range(ROWS)])
    for row in range(ROWS):
        np.testing.assert_allclose(stored[an_id(row)].vector, expected[row], atol=1e-5)
        assert stored[an_id(row)].payload["sku"] == f"S{row}"


class CountingObjects(FileObjects):
    """Says how often each key was read."""

    def get(self, key: str) -> bytes:
        self.reads = getattr(self, "reads", [])
        self.reads.append(key)
        return super().get(key)


def test_a_file_is_read_once_where_its_rows_lie_together(
    vectors: VectorStore,
    objects: FileObjects,
    collection: str,
    duo: tuple[Model, Float32],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    counting = CountingObjects(tmp_path_factory.mktemp("objects"))
    for key in objects.keys(""):
        counting.put(key, objects.get(key))
    model, _ = duo
    plan = message(counting, collection, scattered(counting), model)
    Indexer(counting, vectors).index_shard(plan)
    read = sorted(key for key in counting.reads if key.startswith(("left/", "right/")))
    assert read == ["left/0", "left/1", "left/2", "left/3", "right/0", "right/1"]


def test_a_model_without_normalisation_keeps_the_lengths(
    indexer: Indexer, vectors: VectorStore, objects: FileObjects, collection: str
) -> None:
    linear = random_linear(LEFT, 4, 3)
    member = Member(embedder(LEFT), spec_of(objects, linear))
    model = Model((member,), None, "euclidean", normalised=False)
    keep(objects, "left", LEFTS, NORMS)
    points = [
        planned("upsert", row, 1, embeddings=("left",), embedding_rows=(row,))
        for row in range(ROWS)
    ]
    plan = replace(message(objects, collection, points, model), distance="euclidean")
    indexer.index_shard(plan)
    expected = applied(linear, LEFTS)
    stored = vectors.fetch(collection, [an_id(row) for row in range(ROWS)])
    for row in range(ROWS):
        np.testing.assert_allclose(stored[an_id(row)].vector, expected[row], rtol=1e-4, atol=1e-5)
    nearest = np.argsort(np.linalg.norm(expected - expected[7], axis=1))[:5]
    hits = vectors.search(collection, expected[7], limit=5)
    assert [hit.id for hit in hits] == [an_id(int(row)) for row in nearest]


def test_a_plan_that_does_not_fit_its_model_is_refused(
    indexer: Indexer,
    vectors: VectorStore,
    objects: FileObjects,
    collection: str,
    duo: tuple[Model, Float32],
) -> None:
    model, _ = duo
    (point, *_) = scattered(objects)
    single = replace(point, embeddings=point.embeddings[:1], embedding_rows=(0,))
    swapped = replace(point, embeddings=point.embeddings[::-1], embedding_rows=(0, 0))
    for wrong, reason in ((single, "PLAN_DIFFERS"), (swapped, "DIMENSION_MISMATCH")):
        with pytest.raises(InvalidArgument) as refused:
            indexer.index_shard(message(objects, collection, [wrong], model))
        assert refused.value.reason == reason
    beyond = replace(point, embedding_rows=(point.embedding_rows[0], 99))
    with pytest.raises(DataLoss):
        indexer.index_shard(message(objects, collection, [beyond], model))
    assert vectors.count(collection) == 0


def test_files_of_two_lengths_in_one_plan_are_refused(
    indexer: Indexer, objects: FileObjects, collection: str
) -> None:
    keep(objects, "a", LEFTS, NORMS)
    keep(objects, "b", RIGHTS, NORMS)
    points = [
        planned("upsert", n, 1, embeddings=(key,), embedding_rows=(0,))
        for n, key in enumerate("ab")
    ]
    with pytest.raises(InvalidArgument) as refused:
        indexer.index_shard(replace(shard(objects, collection, points), dimension=LEFT))
    assert refused.value.reason == "DIMENSION_MISMATCH"


def test_a_linear_part_that_is_missing_stops_before_anything_is_made(
    indexer: Indexer,
    vectors: VectorStore,
    objects: FileObjects,
    collection: str,
) -> None:
    lost = Member(embedder(LEFT), LinearSpec("ab" * 32, LEFT, LEFT))
    with pytest.raises(NotFound):
        indexer.index_shard(message(objects, collection, scattered(objects)[:1], Model((lost,))))
    with pytest.raises(NotFound):
        vectors.upsert(collection, [])


def test_shared_catalogues_are_indexed_and_dropped_one_by_one(
    indexer: Indexer, vectors: VectorStore, objects: FileObjects, collection: str
) -> None:
    keep(objects, "left", LEFTS, NORMS)
    options = {"quantization": "int8", "on_disk": True}
    shops = {"anne": range(0, 4), "ben": range(4, 10)}
    for catalog, rows in shops.items():
        points = [
            planned("upsert", row, 1, embeddings=("left",), embedding_rows=(row,)) for row in rows
        ]
        changed = planned("payload", rows[0], 2)
        plan = replace(
            shard(objects, collection, [*points, changed]),
            dimension=LEFT,
            tenant=catalog,
            storage=options,
        )
        indexer.index_shard(plan)
    for catalog, rows in shops.items():
        hits = vectors.search(collection, LEFTS[0], limit=99, catalog=catalog)
        assert {hit.id for hit in hits} == {an_id(row) for row in rows}
        stored = vectors.fetch(collection, [an_id(rows[0])])[an_id(rows[0])]
        assert (stored.payload["catalog"], stored.payload["revision"]) == (catalog, 2)
    drop = DropCollection(
        id="drop",
        operation="operations/1",
        revision=3,
        sequence=0,
        collection=collection,
        tenant="anne",
    )
    for _ in range(2):
        indexer.drop(drop)
        assert vectors.count(collection, "anne") == 0
        assert vectors.count(collection) == len(shops["ben"])


@pytest.mark.parametrize(
    "storage", [{"ondisk": True}, {"on_disk": "yes"}, {"quantization": None}], ids=str
)
def test_storage_options_that_are_not_known_are_named(
    indexer: Indexer, objects: FileObjects, collection: str, storage: dict[str, object]
) -> None:
    plan = replace(shard(objects, collection, []), storage=storage)
    with pytest.raises(InvalidArgument) as refused:
        indexer.index_shard(plan)
    assert refused.value.reason == "UNKNOWN_STORAGE_OPTION"
    (name,) = storage
    assert name in refused.value.message
