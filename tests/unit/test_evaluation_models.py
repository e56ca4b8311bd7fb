"""Models are measured on datasets over a real object store."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.dataset_files import GALLERY, QUERIES, Place, write_places
from services.core.domain.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    ShelflensError,
)
from services.core.domain.evaluation import EvaluationOptions, Metrics
from services.core.domain.keys import page_key
from services.core.domain.model import Member, Model
from services.core.outcomes import ModelEvaluated
from services.core.shard_files import Embeddings, write_embeddings
from services.evaluation.evaluating import Evaluator
from services.evaluation.result_files import (
    QueryResults,
    read_metrics,
    read_results,
    results_part_key,
)
from services.retrieval.composing import compose
from services.retrieval.linear_store import LinearStore
from tests.unit.evaluation_world import (
    DATASET,
    PLACES,
    RESULTS,
    World,
    clusters,
    evaluate_message,
    row,
    sha,
    unit,
)
from tests.unit.retrieval_models import a_linear, an_embedder, spec_of

QUICK = EvaluationOptions(ks=(1, 5), resamples=100)


class CountingObjects(FileObjects):
    """Files; how often each was read and written, and a put that fails."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: Counter[str] = Counter()
        self.puts: Counter[str] = Counter()
        self.failing = ""

    def get(self, key: str) -> bytes:
        self.reads[key] += 1
        return super().get(key)

    def put(self, key: str, data: bytes) -> None:
        if key == self.failing:
            raise RuntimeError("killed")
        self.puts[key] += 1
        super().put(key, data)


@pytest.fixture
def objects(tmp_path: Path) -> CountingObjects:
    return CountingObjects(tmp_path / "objects")


def hand_made(objects: FileObjects) -> tuple[World, Model]:
    """Angles on a circle, so that every ranking is known by heart."""
    queries = [row("q", 0, "a", category="x"), row("q", 1, "b", category="x"),
               row("q", 2, "c", category="y"), row("q", 3, "z", absent=True)]  # fmt: skip
    gallery = [row("g", n, product) for n, product in enumerate("aaabbc")]
    asked = np.deg2rad([0.0, 90.0, 170.0, 28.0])
    shown = np.deg2rad([1.0, 20.0, 178.0, 85.0, 40.0, 172.5])
    world = World(objects, queries, gallery, page=4)
    points = [np.stack([np.cos(each), np.sin(each)], axis=1) for each in (asked, shown)]
    return world, world.embed(unit(points[0]), unit(points[1]))


def evaluated(
    objects: FileObjects, model: Model, options: EvaluationOptions = QUICK, **changes: str
) -> tuple[ModelEvaluated, QueryResults]:
    message = evaluate_message(model, options=options.to_json(), **changes)
    outcome = Evaluator(objects).evaluate(message)
    return outcome, read_results(objects, RESULTS)


def test_metrics_are_those_of_rankings_known_by_heart(objects: FileObjects) -> None:
    _, model = hand_made(objects)
    outcome, results = evaluated(objects, model)
    # q0 (a): a a b b c a; q1 (b): b b a c a a; q2 (c): c a b b a a; q3 is absent: a ...
    assert results.first_product == ["a", "b", "c", "a"]
    assert results.rank.tolist() == [1, 1, 1, 0]
    assert results.right.tolist() == [True, True, True, False]
    np.testing.assert_allclose(results.score[:1], np.cos(np.deg2rad(1)), atol=1e-6)
    second = np.cos(np.deg2rad(1)) - np.cos(np.deg2rad(40))
    np.testing.assert_allclose(results.margin[:1], second, atol=1e-6)
    within_5 = results.metrics["image/mar@5"]
    np.testing.assert_allclose(within_5[:3], [2 / 3, 1, 1])
    np.testing.assert_allclose(results.metrics["image/map@5"][:3], [2 / 3, 1, 1])
    np.testing.assert_allclose(results.metrics["image/map_hits@5"][:3], [1, 1, 1])
    assert all(np.isnan(values[3]) for values in results.metrics.values())
    metrics = Metrics.from_dict(outcome.metrics)
    assert metrics == read_metrics(objects, RESULTS)
    assert (metrics.queries, metrics.absent) == (3, 1)
    assert (metrics.gallery_images, metrics.gallery_products) == (6, 3)
    assert metrics.product["map@5"].value == 1
    assert metrics.image["map@5"].value == pytest.approx(8 / 9)
    assert metrics.per_category == {"x": (1.0, 2), "y": (1.0, 1)}
    assert metrics.class_mean == 1
    assert outcome.failures == ()
    assert outcome.calibration == {}
    json.dumps(outcome.metrics, allow_nan=False)


def test_recall_at_one_is_told_whatever_the_ranks(objects: FileObjects) -> None:
    _, model = hand_made(objects)
    outcome, _ = evaluated(objects, model, EvaluationOptions(ks=(2,), resamples=100))
    names = set(outcome.metrics["product"])
    assert {"recall@1", "recall@2", "map@2"} < names
    assert "map@1" not in names


def test_the_surest_wrong_answers_are_the_first_failures(objects: FileObjects) -> None:
    queries = [row("q", n, product) for n, product in enumerate("abcz")]
    queries[3] = replace(queries[3], absent=True)
    gallery = [row("g", n, product) for n, product in enumerate("abc")]
    world = World(objects, queries, gallery)
    model = world.embed(unit([[0.6, 0.8, 0], [0, 0.1, 1], [1, 0, 0], [1, 0, 0]]), unit(np.eye(3)))
    outcome, results = evaluated(objects, model)
    assert results.right.tolist() == [False] * 4
    expected = [(2, 0), (1, 2), (0, 1)]
    assert outcome.failures == tuple((sha("q", one), sha("g", other)) for one, other in expected)
    outcome, _ = evaluated(objects, model, replace(QUICK, failures=1))
    assert len(outcome.failures) == 1


def test_photos_that_cannot_be_embedded_are_failures_and_such_images_are_left_out(
    objects: FileObjects,
) -> None:
    world, _ = hand_made(objects)
    queries, gallery = (unit(np.random.default_rng(n).random((n, 3))) for n in (4, 6))
    gallery[5] = queries[2]
    model = world.embed(queries, gallery, missing=(sha("q", 0), sha("g", 5)))
    outcome, results = evaluated(objects, model)
    assert (results.rank[0], results.first_image[0], results.right[0]) == (0, "", False)
    assert np.isnan(results.score[0])
    assert results.metrics["product/map@5"][0] == 0
    assert results.metrics["image/mar_ceiling@5"][0] == 1
    assert results.first_image[2] != sha("g", 5)
    assert results.rank[2] == 0
    assert Metrics.from_dict(outcome.metrics).gallery_images == 5
    assert sha("q", 0) not in {query for query, _ in outcome.failures}
    everything = [each.sha256 for each in world.gallery]
    with pytest.raises(FailedPrecondition) as refused:
        evaluated(objects, world.embed(queries, gallery, missing=everything))
    assert refused.value.reason == "NOTHING_EMBEDDED"


@pytest.mark.parametrize("stages", [{}, {"expand": {}, "rerank": {}, "fold": {}, "diversify": {}}])
def test_a_model_that_embeds_no_photo_finds_nothing(
    objects: FileObjects, stages: dict[str, dict[str, int]]
) -> None:
    asked, queries, found, gallery = clusters(4, 2, 2, noise=0.5)
    world = World(objects, asked, found)
    model = world.embed(queries, gallery, missing=[each.sha256 for each in asked])
    outcome, results = evaluated(objects, model, stages=json.dumps(stages))
    assert not results.right.any()
    assert outcome.metrics["product"]["recall@5"]["value"] == 0
    assert outcome.failures == ()


def test_embeddings_that_say_nothing_score_at_chance(objects: FileObjects) -> None:
    asked, _, found, _ = clusters(20, 3, 10, noise=1.0)
    same = unit(np.ones((len(asked), 4))), unit(np.ones((len(found), 4)))
    outcome, _ = evaluated(objects, World(objects, asked, found).embed(*same))
    for level in ("product", "image"):
        assert outcome.metrics[level]["recall@1"]["value"] == pytest.approx(1 / 20, abs=0.05)


def test_an_attempt_goes_on_behind_the_parts_of_the_one_that_was_killed(
    objects: CountingObjects,
) -> None:
    asked, queries, found, gallery = clusters(30, 2, 4, noise=1.2)
    model = World(objects, asked, found).embed(queries, gallery)
    message = evaluate_message(model, options=replace(QUICK, calibrate="platt").to_json())
    whole = Evaluator(objects, chunk=40).evaluate(message)
    expected = {key: objects.get(key) for key in objects.keys(RESULTS) if "json" not in key}
    for key in expected:
        objects.delete(key)
    objects.failing = results_part_key(RESULTS, 1)
    with pytest.raises(RuntimeError):
        Evaluator(objects, chunk=40).evaluate(message)
    objects.failing = ""
    objects.puts.clear()
    again = Evaluator(objects, chunk=40).evaluate(message)
    # Each part is written with its rankings and again with its probabilities.
    assert [objects.puts[results_part_key(RESULTS, n)] for n in range(3)] == [1, 2, 2]
    assert {key: objects.get(key) for key in expected} == expected
    assert _timeless(again) == _timeless(whole)


def _timeless(outcome: ModelEvaluated) -> ModelEvaluated:
    return replace(outcome, metrics={**outcome.metrics, "seconds": 0.0})


def test_parts_of_other_stages_are_made_again(objects: CountingObjects) -> None:
    asked, queries, found, gallery = clusters(10, 3, 3, noise=0.8)
    model = World(objects, asked, found).embed(queries, gallery)
    plain = evaluated(objects, model)[1]
    folded = evaluated(objects, model, stages='{"expand":{"neighbours":3}}')[1]
    assert plain.score.tolist() != folded.score.tolist()
    assert evaluated(objects, model)[1].score.tolist() == plain.score.tolist()


def test_an_ensemble_is_measured_by_its_composed_vectors(objects: FileObjects) -> None:
    one, two = an_embedder(16, name="one"), an_embedder(6, name="two")
    linear = a_linear(16, 5)
    LinearStore(objects).put(linear)
    model = Model((Member(one, spec_of(linear)), Member(two)))
    asked, queries, found, gallery = clusters(12, 2, 2, noise=0.5)
    World(objects, asked, found)
    random = np.random.default_rng(7)
    parts = {
        QUERIES: [queries, unit(random.random((len(asked), 6)))],
        GALLERY: [gallery, unit(random.random((len(found), 6)))],
    }
    composed = {}
    for role, rows in ((QUERIES, asked), (GALLERY, found)):
        names = tuple(each.sha256 for each in rows)
        norms = np.ones(len(rows), np.float32)
        keys = [f"embeddings/{role}-{n}.arrow" for n in range(2)]
        for key, vectors in zip(keys, parts[role], strict=True):
            objects.put(key, write_embeddings(Embeddings(names, vectors, norms)))
        places = [Place(tuple(keys), (at, at)) for at in range(len(rows))]
        objects.put(page_key(PLACES, role, 0), write_places(places))
        linears = LinearStore(objects).of(model)
        composed[role] = compose(model, [(each, norms) for each in parts[role]], linears)
    _, results = evaluated(objects, model)
    best = (composed[QUERIES] @ composed[GALLERY].T).max(axis=1)
    np.testing.assert_allclose(results.score, best, atol=1e-6)


def test_the_classifier_learns_products_from_the_gallery(objects: FileObjects) -> None:
    asked, queries, found, gallery = clusters(8, 20, 3, noise=0.3)
    asked[0] = replace(asked[0], product="gone", absent=True)
    world = World(objects, asked, found)
    model = world.embed(queries, gallery, missing=(asked[1].sha256,))
    outcome, _ = evaluated(objects, model, replace(QUICK, classifier=True))
    accuracy = outcome.metrics["classifier"]["value"]
    assert accuracy == pytest.approx(22 / 23)  # all but the one without embedding
    one_product = [replace(each, product="p") for each in found]
    World(objects, [replace(asked[2], product="p")], one_product).embed(queries[2:3], gallery)
    outcome, _ = evaluated(objects, model, replace(QUICK, classifier=True), results="e/1/")
    assert outcome.metrics["classifier"]["value"] == 1


def refused(objects: FileObjects, model: Model, **changes: str) -> ShelflensError:
    with pytest.raises(ShelflensError) as found:
        Evaluator(objects, most_bytes=1_000).evaluate(evaluate_message(model, **changes))
    return found.value


def test_what_cannot_be_measured_is_refused_by_name(objects: CountingObjects) -> None:
    _, model = hand_made(objects)
    large = an_embedder(200)
    too_large = refused(objects, Model.plain(large))
    assert isinstance(too_large, InvalidArgument)
    assert too_large.reason == "GALLERY_TOO_LARGE"
    wanted = json.dumps({"calibrate": "platt"})
    assert refused(objects, model, options=wanted).reason == "TOO_FEW_QUERIES"
    assert refused(objects, model, dataset="datasets/none/1/").reason == "NO_QUERIES"
    assert refused(objects, model, stages='{"shuffle":{}}').reason == "STAGE_INVALID"
    assert refused(objects, model, options='{"ks":[0]}').reason == "OPTION_INVALID"
    assert not any(key.startswith("embeddings/") for key in objects.reads)
    two = Model((model.members[0], model.members[0]))
    assert refused(objects, two).reason == "PLACES_DIFFER"
    objects.put(page_key(PLACES, GALLERY, 0), write_places([]))
    damaged = refused(objects, model)
    assert isinstance(damaged, DataLoss)
    assert damaged.reason == "PLACES_INCOMPLETE"
    places: Sequence[Place] = [Place(("embeddings/gallery.arrow",), (at,)) for at in range(3, 7)]
    objects.put(page_key(PLACES, GALLERY, 0), write_places(places))
    assert refused(objects, model).reason == "EMBEDDINGS_INCOMPLETE"
    assert list(objects.keys(DATASET))
