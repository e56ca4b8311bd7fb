"""Evaluations: whatever order work is done in, the records end whole and true."""

from pathlib import Path

import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.dataset_files import GALLERY
from services.core.domain.evaluation import Difference, Metrics
from services.core.domain.external_model import ExternalModel
from services.core.domain.operations import OperationKind, OperationState
from services.core.evaluation_messages import (
    EvaluateModel,
    ExplainPairs,
    FreezeDataset,
    ReportEvaluation,
)
from services.core.messages import EmbedShard, Message
from tests.integration.deploy_world import delete_product, fill, some_work
from tests.integration.evaluation_world import (
    DUO,
    OTHER,
    EvaluationWorld,
    dataset,
    evaluate,
    evaluation,
    frozen,
    left_files,
    make_dataset,
    open_world,
    queries,
)
from tests.integration.import_world import BASE


@pytest.fixture
def world(tmp_path: Path, vectors: QdrantVectors) -> EvaluationWorld:
    """With an empty catalogue `shop`, and models `other` and `duo`."""
    return open_world(tmp_path, vectors)


def test_models_are_measured_and_compared(world: EvaluationWorld) -> None:
    fill(world, 12)
    make_dataset(world, queries(world, 4))
    world.quality = {BASE.digest: 0.5, OTHER.digest: 0.7}
    world.embedded.clear()
    made = evaluate(world, "base", "other", "duo", calibrate="platt")
    done = evaluation(world, made)
    assert done.state is OperationState.SUCCEEDED, done.error_message
    assert len(world.embedded) == 16  # by `other` alone, once
    assert [Metrics.from_dict(each.metrics).product["map@10"].value for each in done.models] == [
        0.5, 0.7, 0.5,
    ]  # fmt: skip
    first, second = map(Difference.from_dict, done.differences)
    assert (first.baseline, first.model, second.model) == (0, 1, 2)
    assert first.metrics["map@10"].value == pytest.approx(0.2)
    assert world.objects.get(done.report).startswith(
        b"<title>models/base, models/other, models/duo"
    )
    assert done.end_time is not None
    assert {embedder for embedder, _ in world.explained} == {BASE.digest, OTHER.digest}
    assert all(world.objects.get(key) == b"picture" for _, key in world.explained)
    with world.records.begin() as tx:
        fitted = tx.calibrations.current("shop", OTHER.digest, "{}")
    assert fitted is not None
    assert fitted.evaluation == made
    assert world.operation(done.operation).result["step"] == "reporting"
    assert left_files(world, "working/") == []


def test_the_evaluation_worker_measures_what_the_coordinator_hands_it(
    world: EvaluationWorld,
) -> None:
    world.measure_for_real()
    fill(world, 60)
    make_dataset(world, queries(world, 40))
    done = evaluation(world, evaluate(world, "base", "duo", resamples=100, ks=(1, 10)))
    assert done.state is OperationState.SUCCEEDED, done.error_message
    for each in done.models:
        metrics = Metrics.from_dict(each.metrics)
        assert (metrics.queries, metrics.gallery_images, metrics.absent) == (40, 60, 0)
        # The vectors say nothing about products: about 10 in 60 are found by chance.
        assert metrics.product["recall@10"].value == pytest.approx(1 / 6, abs=0.15)
    [difference] = map(Difference.from_dict, done.differences)
    assert difference.metrics.keys() >= {"map@1", "map@10", "recall@10"}
    assert b"models/duo" in world.objects.get(done.report)


def test_pages_of_any_number_are_gone_through(
    world: EvaluationWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.evaluation.freezing.PAGE", 3)
    fill(world, 17)
    make_dataset(world, queries(world, 7))
    done = evaluation(world, evaluate(world, "duo", "base"))
    assert done.state is OperationState.SUCCEEDED, done.error_message
    assert (done.models[0].metrics["queries"], done.models[0].metrics["gallery_images"]) == (7, 17)
    assert world.unseen == {DUO.digest: set(), BASE.digest: set()}


def test_an_image_that_a_model_cannot_embed_has_no_place(world: EvaluationWorld) -> None:
    fill(world, 6)
    make_dataset(world, queries(world, 2))
    lost = frozen(world, GALLERY)[0].sha256
    world.unusable[lost] = "IMAGE_MISSING"
    done = evaluation(world, evaluate(world, "other", "base"))
    assert done.state is OperationState.SUCCEEDED, done.error_message
    assert world.unseen == {OTHER.digest: {lost}, BASE.digest: set()}


@pytest.mark.parametrize("seed", range(4))
def test_an_evaluation_goes_on_after_kills_and_losses(
    tmp_path: Path, vectors: QdrantVectors, seed: int
) -> None:
    world = open_world(tmp_path, vectors, seed)
    fill(world, 20)
    make_dataset(world, queries(world, 9))
    made = evaluate(world, "base", "duo", run=False)
    for _ in range(3):
        for _ in range(world.random.randrange(25)):
            some_work(world)
        world.start_coordinator()
    delete_product(world, "sku-3")
    world.run(loss=0.15, repetition=0.2)
    done = evaluation(world, made)
    assert done.state is OperationState.SUCCEEDED, done.error_message
    assert world.unseen == {BASE.digest: set(), DUO.digest: set()}
    assert len(done.differences) == 1


@pytest.mark.parametrize("kind", [EmbedShard, EvaluateModel, ExplainPairs, ReportEvaluation])
def test_an_evaluation_is_cancelled_at_any_stage(
    world: EvaluationWorld, kind: type[Message]
) -> None:
    fill(world, 8)
    make_dataset(world, queries(world, 2))
    made = evaluate(world, "base", "other", run=False)
    while not any(isinstance(each, kind) for each in world.queue.messages):
        some_work(world)
    operation = evaluation(world, made).operation
    with world.records.begin(write=True) as tx:
        tx.operations.cancel(operation, world.clock.now())
    world.run()
    done = evaluation(world, made)
    assert (done.state, done.report) == (OperationState.CANCELLED, "")
    assert world.operation(operation).state is OperationState.CANCELLED
    assert left_files(world, f"working/{operation}/") == []


@pytest.mark.parametrize("kind", [EvaluateModel, ReportEvaluation])
def test_what_a_worker_refuses_is_the_reason_of_the_evaluation(
    world: EvaluationWorld, kind: type[Message]
) -> None:
    fill(world, 5)
    make_dataset(world, queries(world, 2))
    world.failing[kind] = "OUT_OF_LUCK"
    done = evaluation(world, evaluate(world, "base", "other", calibrate="platt"))
    assert (done.state, done.error_reason) == (OperationState.FAILED, "OUT_OF_LUCK")
    assert done.error_message == "the worker says OUT_OF_LUCK"
    with world.records.begin() as tx:
        assert tx.calibrations.page("shop") == []
    assert left_files(world, f"evaluations/{done.id}/") == []


def test_an_evaluation_without_its_pictures_succeeds(world: EvaluationWorld) -> None:
    fill(world, 5)
    make_dataset(world, queries(world, 2))
    world.failing[ExplainPairs] = "OUT_OF_INK"
    done = evaluation(world, evaluate(world, "base", "other"))
    assert done.state is OperationState.SUCCEEDED, done.error_message
    assert done.report


def test_embeddings_that_an_erasure_moves_are_found_again(world: EvaluationWorld) -> None:
    fill(world, 8)
    make_dataset(world, queries(world, 2))
    made = evaluate(world, "base", "other", run=False)
    while not any(isinstance(each, EvaluateModel) for each in world.queue.messages):
        some_work(world)
    gone = frozen(world, GALLERY)[0]
    with world.records.begin(write=True) as tx:
        [(file, _)] = tx.embeddings.places(BASE.digest, [gone.sha256]).values()
        moved = file.replace(".arrow", "-9.arrow")
        world.objects.put(moved, world.objects.get(file))
        shas = [each.sha256 for each in frozen(world, GALLERY)]
        places = tx.embeddings.places(BASE.digest, shas)
        rows = {sha: at for sha, (key, at) in places.items() if key == file}
        tx.embeddings.replace(BASE.digest, moved, rows)
    world.objects.delete(file)
    world.run()
    done = evaluation(world, made)
    assert done.state is OperationState.SUCCEEDED, done.error_message
    assert world.operation(done.operation).result["placed_again"]


def test_a_model_that_nothing_here_embeds_with_fails_the_evaluation(
    world: EvaluationWorld,
) -> None:
    fill(world, 4)
    make_dataset(world, queries(world, 2))
    outside = ExternalModel(name="outside", dimension=8)
    with world.records.begin(write=True) as tx:
        tx.models.put("outside", outside.digest, outside.spec(), world.clock.now())
    done = evaluation(world, evaluate(world, "base", "outside"))
    assert (done.state, done.error_reason) == (OperationState.FAILED, "MODEL_HAS_NO_EMBEDDER")
    assert "models/outside" in done.error_message


def test_a_deleted_catalogue_ends_what_is_made_of_it(world: EvaluationWorld) -> None:
    fill(world, 4)
    operation = make_dataset(world, queries(world, 2), run=False)
    some_work(world)
    with world.records.begin(write=True) as tx:
        live = tx.catalogs.deployment("shop")
        tx.catalogs.mark_deleting("shop")
        request = {"collections": [[live.collection, live.tenant]]}
        tx.operations.create(OperationKind.DELETE_CATALOG, "shop", 0, request, world.clock.now())
    world.run()
    done = world.operation(operation)
    assert (done.state, done.error_reason) == (OperationState.FAILED, "CATALOG_NOT_FOUND")


@pytest.mark.parametrize("kind", [FreezeDataset, EvaluateModel, ReportEvaluation])
def test_work_over_whole_galleries_is_not_given_out_again_while_it_runs(
    tmp_path: Path, vectors: QdrantVectors, kind: type[Message]
) -> None:
    world = open_world(tmp_path, vectors, long_lease=3_600.0)
    fill(world, 4)
    if kind is FreezeDataset:
        make_dataset(world, queries(world, 2), run=False)
    else:
        make_dataset(world, queries(world, 2))
        evaluate(world, "base", run=False)
    while not any(isinstance(each, kind) for each in world.queue.messages):
        some_work(world)
    held = [each for each in world.queue.messages if isinstance(each, kind)]
    world.queue.messages.clear()  # a worker is at it
    for _ in range(15):
        world.clock.move(60)
        world.coordinator.tick()
    assert world.queue.messages == []
    world.queue.messages += held
    world.run()
    assert dataset(world).state is OperationState.SUCCEEDED
