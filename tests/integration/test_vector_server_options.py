"""The local vector server keeps what collections are made with, and aliases, over restarts."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.core.adapters.qdrant_vectors import CollectionOptions, QdrantVectors
from services.core.domain.errors import InvalidArgument
from services.core.ports import CollectionSpec
from tests.integration.test_vector_server import (
    EAGER,
    LAZY,
    SPEC,
    an_id,
    generation,
    kill,
    points,
    running,
    vector,
)
from tests.waiting import eventually

ROWS = np.stack([vector(number) for number in range(1500)])
HALF = CollectionOptions(datatype="float16")
INT8 = CollectionOptions(quantization="int8", hnsw_m=8, vectors_on_disk=True)


def connected(port: int, options: CollectionOptions | None = None) -> closing[QdrantVectors]:
    adapter = QdrantVectors(grpc_port=port, options=options, oversampling=2.0, retry_seconds=60)
    return closing(adapter)


def check_searches(vectors: QdrantVectors, least_recall: float, tolerance: float) -> None:
    found = 0
    for query in (vector(number) for number in range(5000, 5040)):
        hits = vectors.search(SPEC.name, query, limit=10)
        numbers = {an_id(number): number for number in range(len(ROWS))}
        exact = [float(ROWS[numbers[hit.id]] @ query) for hit in hits]
        np.testing.assert_allclose([hit.score for hit in hits], exact, atol=tolerance)
        found += len({numbers[hit.id] for hit in hits} & set(np.argsort(-(ROWS @ query))[:10]))
    assert found / 400 >= least_recall


@pytest.mark.parametrize(
    ("options", "tolerance"), [(HALF, 3e-4), (INT8, 1e-5)], ids=["float16", "int8"]
)
def test_an_index_over_half_or_quantized_vectors_gives_scores_that_are_right(
    tmp_path: Path, options: CollectionOptions, tolerance: float
) -> None:
    data = tmp_path / "vectors"
    with running(data, EAGER) as server, connected(server.port, options) as vectors:
        vectors.ensure_collection(SPEC)
        vectors.upsert(SPEC.name, points(range(1500)))
        check_searches(vectors, 0.98, tolerance)
        eventually(lambda: generation(data) >= 2, 60, "the index is built")
        check_searches(vectors, 0.9, tolerance)
        made = vectors.options(SPEC.name)
        kill(server)
        with running(data, EAGER, server.port):
            assert vectors.options(SPEC.name) == made
            assert vectors.count(SPEC.name) == 1500
            check_searches(vectors, 0.9, tolerance)
            (stored,) = vectors.fetch(SPEC.name, [an_id(7)]).values()
            assert float(stored.vector @ ROWS[7] / np.linalg.norm(stored.vector)) > 0.9999999


@pytest.mark.parametrize(("distance", "order"), [("euclidean", 2), ("manhattan", 1)])
def test_an_index_over_quantized_vectors_of_any_length_keeps_distances(
    tmp_path: Path, distance: str, order: int
) -> None:
    data = tmp_path / "vectors"
    spec = CollectionSpec(SPEC.name, SPEC.dimension, distance, quantization="int8")
    rows = ROWS * np.geomspace(0.5, 2, len(ROWS), dtype=np.float32)[:, None]
    with running(data, EAGER) as server, connected(server.port) as vectors:
        vectors.ensure_collection(spec)
        stored = [
            replace(each, vector=row) for each, row in zip(points(range(1500)), rows, strict=True)
        ]
        vectors.upsert(SPEC.name, stored)
        eventually(lambda: generation(data) >= 2, 60, "the index is built")
        common = 0
        for query in (1.2 * vector(number) for number in range(5000, 5040)):
            scores = -np.linalg.norm(rows - query, order, axis=1)
            nearest = [an_id(int(n)) for n in np.argsort(-scores)[:10]]
            hits = vectors.search(SPEC.name, query, limit=10)
            exact = {each.id: score for each, score in zip(stored, scores, strict=True)}
            found = [exact[hit.id] for hit in hits]
            np.testing.assert_allclose([hit.score for hit in hits], found, rtol=1e-4)
            common += len({hit.id for hit in hits} & set(nearest))
        assert common / 400 >= 0.9


def test_catalogues_in_one_index_stay_apart_over_builds_and_kills(tmp_path: Path) -> None:
    data = tmp_path / "vectors"
    spec = CollectionSpec(SPEC.name, SPEC.dimension, "cosine", True, "int8", True)
    query = vector(5000)

    def check(vectors: QdrantVectors, dropped: int) -> None:
        for shop in range(0, 50, 7):
            own = np.arange(shop, 1500, 50)
            expected = [an_id(int(n)) for n in own[np.argsort(-(ROWS[own] @ query))]]
            hits = vectors.search(SPEC.name, query, limit=99, catalog=f"shop-{shop}")
            assert [hit.id for hit in hits] == ([] if shop == dropped else expected)

    with running(data, EAGER) as server, connected(server.port) as vectors:
        vectors.ensure_collection(spec)
        of_shops = [
            replace(each, payload={**each.payload, "catalog": f"shop-{number % 50}"})
            for number, each in enumerate(points(range(1500)))
        ]
        vectors.upsert(SPEC.name, of_shops)
        check(vectors, -1)
        eventually(lambda: generation(data) >= 2, 60, "the index is built")
        check(vectors, -1)
        vectors.drop_catalog(SPEC.name, "shop-14")
        kill(server)
        with running(data, EAGER, server.port), connected(server.port) as afterwards:
            check(afterwards, 14)
            assert afterwards.count(SPEC.name) == 1470
            with pytest.raises(InvalidArgument):
                afterwards.search(SPEC.name, query, limit=1)
            made = afterwards.options(SPEC.name)
            assert made is not None
            assert (made.quantization, made.vectors_on_disk) == ("int8", True)


def test_a_collection_can_ask_for_its_index_earlier_or_never(tmp_path: Path) -> None:
    data = tmp_path / "vectors"
    early = CollectionOptions(indexing_threshold_kb=100)  # 400 points of 64 dimensions
    with running(data, LAZY) as server, connected(server.port, early) as vectors:
        vectors.ensure_collection(SPEC)
        vectors.upsert(SPEC.name, points(range(600)))
        eventually(lambda: generation(data) >= 2, 60, "the index is built")
        with connected(server.port, CollectionOptions(indexing_threshold_kb=0)) as others:
            others.ensure_collection(CollectionSpec("plain", SPEC.dimension))
            others.upsert("plain", points(range(600)))
            kept = others.options("plain")
            assert kept is not None
            assert kept.indexing_threshold_kb == 0


def test_a_directory_of_an_earlier_version_answers_as_before(tmp_path: Path) -> None:
    data = tmp_path / "vectors"
    with running(data, LAZY) as server, connected(server.port) as vectors:
        vectors.ensure_collection(SPEC)
        vectors.upsert(SPEC.name, points(range(300)))
    (described,) = data.glob("*/collection.json")
    fields = json.loads(described.read_text())
    del fields["options"]
    described.write_text(json.dumps(fields))
    with running(data, EAGER) as server, connected(server.port, HALF) as vectors:
        vectors.ensure_collection(SPEC)
        kept = vectors.options(SPEC.name)
        assert kept is not None
        assert kept.datatype == "float32"
        vectors.upsert(SPEC.name, points(range(300, 1500)))
        check_searches(vectors, 0.98, 1e-6)


def test_aliases_survive_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "vectors"
    other = CollectionSpec("catalog-2", SPEC.dimension)
    with running(data, LAZY) as server, connected(server.port) as vectors:
        for each in (SPEC, other):
            vectors.ensure_collection(each)
        vectors.point_alias("live", SPEC.name)
        vectors.point_alias("live", other.name)
        vectors.point_alias("gone", SPEC.name)
        vectors.drop_collection(SPEC.name)
        kill(server)
        with running(data, LAZY, server.port):
            assert vectors.aliases() == {"live": other.name}
            vectors.upsert(other.name, points(range(3)))
            assert vectors.count("live") == 3
