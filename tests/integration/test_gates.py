"""Gates: a model that is worse than the live one does not replace it unknowingly."""

from pathlib import Path

import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.deployment_ports import DeploymentState
from services.core.domain.evaluation import Gate
from services.core.domain.evaluation_requests import with_gate
from services.core.domain.operations import OperationState
from services.core.evaluation_messages import EvaluateModel
from services.core.evaluation_ports import Evaluation
from services.core.messages import EmbedShard, IndexShard
from tests.integration.deploy_world import deploy, deployments, fill, is_write, settle, some_work
from tests.integration.evaluation_world import (
    OTHER,
    EvaluationWorld,
    evaluation,
    make_dataset,
    open_world,
    queries,
)
from tests.integration.import_world import BASE


@pytest.fixture
def world(tmp_path: Path, vectors: QdrantVectors) -> EvaluationWorld:
    """With 6 products, the dataset `val`, and a model `other`."""
    made = open_world(tmp_path, vectors)
    fill(made, 6)
    make_dataset(made, queries(made, 3))
    return made


def gated(world: EvaluationWorld, gate: Gate, old: float, new: float) -> str:
    world.quality = {BASE.digest: old, OTHER.digest: new}
    return deploy(world, "other", **with_gate({}, gate))


def its_evaluation(world: EvaluationWorld, operation: str) -> Evaluation:
    return evaluation(world, world.operation(operation).result["evaluation"])


def test_a_better_model_passes_its_gate_and_is_deployed(world: EvaluationWorld) -> None:
    operation = gated(world, Gate("val", minimum=0.1), old=0.5, new=0.7)
    world.run()
    done = world.operation(operation)
    assert done.state is OperationState.SUCCEEDED, done.error_message
    live = deployments(world)[0]
    assert (live.model, live.state) == ("other", DeploymentState.LIVE)
    measured = its_evaluation(world, operation)
    assert [each.model for each in measured.models] == ["base", "other"]
    assert dict(live.gate) == {
        "evaluation": f"evaluations/{measured.id}",
        "metric": "map@10",
        "minimum_difference": 0.1,
        "difference": pytest.approx(0.2),
        "low": pytest.approx(0.18),
        "high": pytest.approx(0.22),
        "passed": True,
        "overridden": False,
    }
    assert len(world.found("shop")) == 6


def test_a_worse_model_is_refused_with_the_figures(world: EvaluationWorld) -> None:
    operation = gated(world, Gate("val"), old=0.646, new=0.612)
    written = []
    while not world.operation(operation).state.done:
        new = deployments(world)[0]
        written += [each for each in world.queue.messages if is_write(each, operation, new)]
        some_work(world)
    failed = world.operation(operation)
    assert (failed.state, failed.error_reason) == (OperationState.FAILED, "EVALUATION_GATE")
    assert failed.error_message == (
        "map@10 of models/other on datasets/val is 0.612, 0.034 (0.014 to 0.054) below "
        "models/base; at least +0.000 is asked for: deploy with --override to do it anyway"
    )
    assert written == []
    refused, live = deployments(world)
    assert (refused.state, live.state) == (DeploymentState.GONE, DeploymentState.LIVE)
    assert (refused.gate["passed"], refused.gate["overridden"]) == (False, False)


def test_a_model_that_is_not_enough_better_is_refused(world: EvaluationWorld) -> None:
    operation = gated(world, Gate("val", "map@5", 0.1), old=0.5, new=0.53)
    world.run()
    failed = world.operation(operation)
    assert failed.error_reason == "EVALUATION_GATE"
    assert "map@5 of models/other on datasets/val is 0.530, 0.030 (0.010 to 0.050) above " in (
        failed.error_message
    )


def test_a_worse_model_is_deployed_where_the_gate_is_overridden(world: EvaluationWorld) -> None:
    operation = gated(world, Gate("val", override=True), old=0.6, new=0.5)
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    live = deployments(world)[0]
    assert live.model == "other"
    assert (live.gate["passed"], live.gate["overridden"]) == (False, True)


def test_a_gate_measures_the_rank_that_it_is_about(world: EvaluationWorld) -> None:
    operation = gated(world, Gate("val", "map@20"), old=0.5, new=0.5)
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    assert '"ks":[1,5,10,20]' in its_evaluation(world, operation).options


def test_nothing_is_written_to_the_new_collection_before_the_gate(world: EvaluationWorld) -> None:
    operation = gated(world, Gate("val"), old=0.5, new=0.6)
    while its_step(world, operation) in ("", "evaluating"):
        mine = [each for each in world.queue.messages if each.operation == operation]
        assert not [each for each in mine if isinstance(each, EmbedShard | IndexShard)]
        some_work(world)
    world.run()
    assert deployments(world)[0].model == "other"


def its_step(world: EvaluationWorld, operation: str) -> str:
    return str(world.operation(operation).result.get("step", ""))


def test_a_gate_that_could_not_be_evaluated_says_why(world: EvaluationWorld) -> None:
    world.failing[EvaluateModel] = "OUT_OF_LUCK"
    operation = gated(world, Gate("val"), old=0.5, new=0.6)
    world.run()
    failed = world.operation(operation)
    assert (failed.state, failed.error_reason) == (OperationState.FAILED, "GATE_NOT_EVALUATED")
    assert "OUT_OF_LUCK" in failed.error_message
    assert deployments(world)[0].state is DeploymentState.GONE


def test_a_gate_on_a_dataset_that_is_gone_fails_the_deploy(world: EvaluationWorld) -> None:
    with world.records.begin(write=True) as tx:
        tx.datasets.remove("val")
    operation = gated(world, Gate("val"), old=0.5, new=0.6)
    world.run()
    assert world.operation(operation).error_reason == "DATASET_NOT_FOUND"


def test_a_cancelled_deploy_cancels_the_evaluation_of_its_gate(world: EvaluationWorld) -> None:
    operation = gated(world, Gate("val"), old=0.5, new=0.6)
    while not any(isinstance(each, EvaluateModel) for each in world.queue.messages):
        some_work(world)
    with world.records.begin(write=True) as tx:
        tx.operations.cancel(operation, world.clock.now())
    settle(world)
    assert world.operation(operation).state is OperationState.CANCELLED
    assert its_evaluation(world, operation).state is OperationState.CANCELLED
    assert deployments(world)[0].state is DeploymentState.GONE


def test_a_killed_coordinator_makes_one_evaluation_of_a_gate(world: EvaluationWorld) -> None:
    operation = gated(world, Gate("val"), old=0.5, new=0.6)
    for _ in range(12):
        some_work(world)
        world.start_coordinator()
    world.run(loss=0.1, repetition=0.2)
    assert world.operation(operation).state is OperationState.SUCCEEDED
    with world.records.begin() as tx:
        assert len(tx.evaluations.page("", 10)) == 1
