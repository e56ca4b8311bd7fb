"""An erasure reaches what evaluations show of the image."""

from pathlib import Path

import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.dataset_files import GALLERY, QUERIES
from services.core.domain import keys
from services.core.domain.operations import OperationState
from services.core.evaluation_messages import ReportEvaluation
from tests.integration.deploy_world import fill, some_work
from tests.integration.evaluation_world import (
    EvaluationWorld,
    evaluate,
    evaluation,
    frozen,
    left_files,
    make_dataset,
    queries,
)
from tests.integration.test_erasing import erase


@pytest.fixture
def world(tmp_path: Path, vectors: QdrantVectors) -> EvaluationWorld:
    """With a dataset whose failures all show the first image of its gallery."""
    made = EvaluationWorld(tmp_path, vectors)
    made.create("shop")
    fill(made, 5)
    make_dataset(made, queries(made, 2))
    return made


def product_of(world: EvaluationWorld, at: int) -> str:
    return frozen(world, GALLERY)[at].product


def pictures(world: EvaluationWorld, made: str) -> list[str]:
    return left_files(world, keys.failure_pictures(keys.results_prefix(made, 0)))


def test_pictures_and_report_that_show_it_go_and_figures_stay(world: EvaluationWorld) -> None:
    made = evaluate(world, "base")
    before = evaluation(world, made)
    assert pictures(world, made)
    assert before.report
    operation = erase(world, product_of(world, 0))
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    after = evaluation(world, made)
    assert pictures(world, made) == []
    assert world.objects.size(before.report) is None
    assert (after.report, after.models) == ("", before.models)


def test_an_evaluation_that_does_not_show_it_keeps_its_report(world: EvaluationWorld) -> None:
    made = evaluate(world, "base")
    erase(world, product_of(world, 1))
    world.run()
    assert evaluation(world, made).report
    assert pictures(world, made)


def test_an_erasure_waits_for_an_evaluation_that_shows_it(world: EvaluationWorld) -> None:
    made = evaluate(world, "base", run=False)
    while not any(isinstance(each, ReportEvaluation) for each in world.queue.messages):
        some_work(world)
    [held] = [each for each in world.queue.messages if isinstance(each, ReportEvaluation)]
    world.queue.messages.remove(held)
    operation = erase(world, product_of(world, 0))
    for _ in range(5):
        world.coordinator.tick()
        while world.queue.messages:
            world.deliver_one()
    assert world.operation(operation).state is OperationState.RUNNING
    world.queue.messages.append(held)
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    assert evaluation(world, made).state is OperationState.SUCCEEDED
    assert evaluation(world, made).report == ""
    assert pictures(world, made) == []


def test_an_evaluation_goes_on_without_an_erased_image(world: EvaluationWorld) -> None:
    gone = frozen(world, GALLERY)[3]
    erase(world, gone.product)
    world.run()
    world.unusable[gone.sha256] = "IMAGE_MISSING"  # as the embedder says of bytes that are gone
    made = evaluate(world, "base")
    assert evaluation(world, made).state is OperationState.SUCCEEDED
    model = evaluation(world, made).models[0].digest
    assert gone.sha256 in world.unseen[model]
    assert all(each.sha256 not in world.unseen[model] for each in frozen(world, QUERIES))
    assert world.objects.size(keys.image_key(gone.sha256)) is None
