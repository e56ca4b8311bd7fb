"""Evaluations and calibrations through the API: asked for, watched, shown, removed."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.core.domain import keys
from services.core.domain.calibration import Calibration
from services.core.domain.evaluation import Difference, Estimate, EvaluationOptions, Metrics
from services.core.domain.operations import OperationKind, OperationState
from services.core.domain.stages import Expansion, Reranking, Stages
from services.core.evaluation_ports import CalibrationRecord, Dataset, EvaluatedModel, Evaluation
from shelflens.v1 import evaluation_pb2 as pb
from shelflens.v1 import search_pb2
from tests.unit.gateway_doubles import MODEL_DIGEST
from tests.unit.test_gateway_deployments import STRONG, put
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)
STATE = "FAILED_PRECONDITION"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
HALF = Estimate(0.5, 0.4, 0.6)
METRICS = Metrics(
    queries=90,
    absent=10,
    gallery_images=40,
    gallery_products=12,
    product={"map@10": HALF, "recall@1": Estimate(0.7, 0.6, 0.8)},
    image={"map@10": Estimate(0.3, 0.2, 0.4)},
    class_mean=0.55,
    per_category={"Drinks": (0.25, 40), "Fruit": (0.75, 50)},
    coverage=HALF,
)
FITTED = Calibration(
    method="platt", intercept=-1.0, score_weight=4.0, margin_weight=2.0, knots=(), threshold=0.9,
    precision=0.95, queries=60, gallery_images=40, absent_share=0.1, accepted_share=0.6,
)  # fmt: skip


async def dataset(world: World, **fields: Any) -> None:
    """A catalogue, and a dataset of it that is made."""
    await world.catalog()
    put(world)
    usual: dict[str, Any] = {
        "id": "val", "catalog": "shop", "display_name": "", "allow_absent": True, "build": "b1",
        "operation": "none", "state": OperationState.SUCCEEDED, "counts": {"queries": 500},
        "create_time": NOW,
    }  # fmt: skip
    with world.records.begin(write=True) as tx:
        tx.datasets.add(Dataset(**usual | fields))


async def create(world: World, *models: str, **fields: Any) -> pb.Evaluation:
    request = pb.CreateEvaluationRequest(
        dataset="datasets/val", models=[f"models/{each}" for each in models], **fields
    )
    return await world.evaluations.CreateEvaluation(request)


async def get(world: World, name: str) -> pb.Evaluation:
    return await world.evaluations.GetEvaluation(pb.GetEvaluationRequest(name=name))


def stored(world: World, evaluation: pb.Evaluation) -> Evaluation:
    with world.records.begin() as tx:
        return tx.evaluations.get(_id(evaluation.name))


def done(world: World, evaluation: pb.Evaluation, **fields: Any) -> Evaluation:
    """What the coordinator does at the end."""
    found = stored(world, evaluation)
    models = tuple(replace(each, metrics=METRICS.to_dict()) for each in found.models)
    usual: dict[str, Any] = {
        "state": OperationState.SUCCEEDED, "models": models, "end_time": NOW,
        "report": f"{keys.evaluation_prefix(found.id)}report.html",
    }  # fmt: skip
    ended = replace(found, **usual | fields)
    with world.records.begin(write=True) as tx:
        tx.evaluations.save(ended)
    return ended


def _id(name: str) -> str:
    return name.rpartition("/")[2]


async def test_an_evaluation_is_queued_with_all_that_was_asked_for(world: World) -> None:
    await dataset(world)
    stages = search_pb2.RankingStages()
    stages.expand.neighbours = 3
    stages.rerank.SetInParent()
    made = await create(
        world,
        "base",
        "strong",
        stages=stages,
        options=pb.EvaluationOptions(ks=[1, 20], classifier=True, calibrate="platt"),
    )
    found = stored(world, made)
    assert found.models == (
        EvaluatedModel("base", MODEL_DIGEST),
        EvaluatedModel("strong", STRONG.digest),
    )
    assert found.stages == Stages(Expansion(3), Reranking()).key
    wanted = EvaluationOptions(ks=(1, 20), classifier=True, calibrate="platt")
    assert EvaluationOptions.from_json(found.options) == wanted
    with world.records.begin() as tx:
        operation = tx.operations.get(found.operation)
    assert (operation.kind, operation.catalog) == (OperationKind.EVALUATE, "shop")
    assert operation.request == {"evaluation": found.id}
    shown = await get(world, made.name)
    assert shown == made
    assert (shown.stages.expand.neighbours, shown.stages.rerank.k1) == (3, 8)
    assert shown.options.confidence == 0.95


async def test_a_finished_evaluation_shows_figures_with_intervals_and_differences(
    world: World,
) -> None:
    await dataset(world)
    made = await create(world, "base", "strong")
    less = Difference(0, 1, {"map@10": Estimate(-0.1, -0.2, 0.0)})
    done(world, made, differences=(less.to_dict(),))
    shown = await get(world, made.name)
    assert shown.has_report
    assert shown.state == pb.WORK_STATE_SUCCEEDED
    base, strong = shown.metrics
    assert (base.model, strong.model_digest) == ("models/base", STRONG.digest)
    assert (base.query_count, base.absent_count, base.class_mean) == (90, 10, 0.55)
    assert base.product["map@10"] == pb.Estimate(value=0.5, low=0.4, high=0.6)
    assert [each.category for each in base.categories] == ["Drinks", "Fruit"]
    assert base.HasField("coverage")
    assert not base.HasField("classifier")
    (difference,) = shown.differences
    assert (difference.baseline, difference.model) == ("models/base", "models/strong")
    assert difference.metrics["map@10"].low == -0.2


async def test_a_watch_ends_with_the_evaluation(world: World) -> None:
    await dataset(world)
    made = await create(world, "base")
    calls = world.evaluations.WatchEvaluation(pb.WatchEvaluationRequest(name=made.name))
    states = []
    async for each in calls:
        states.append(each.state)
        if each.state == pb.WORK_STATE_QUEUED:
            await asyncio.to_thread(done, world, made)
    assert states == [pb.WORK_STATE_QUEUED, pb.WORK_STATE_SUCCEEDED]


async def test_a_step_is_shown_while_it_lasts(world: World) -> None:
    await dataset(world)
    made = await create(world, "base")
    with world.records.begin(write=True) as tx:
        operation = tx.operations.get(made.operation.removeprefix("operations/"))
        operation.result = {"step": "searching"}
        tx.operations.save(operation)
    assert (await get(world, made.name)).step == "searching"


async def test_what_cannot_be_measured_is_refused_by_name(world: World) -> None:
    await dataset(world)
    wrong = "INVALID_ARGUMENT"
    bad_stage = search_pb2.RankingStages()
    bad_stage.rerank.k1 = 500
    for models, fields, wanted in (
        ((), {}, (wrong, "MODELS_MISSING")),
        (("base", "base"), {}, (wrong, "MODEL_TWICE")),
        ([f"m{each}" for each in range(11)], {}, (wrong, "TOO_MANY_MODELS")),
        (("gone",), {}, ("NOT_FOUND", "MODEL_NOT_FOUND")),
        (("base",), {"stages": bad_stage}, (wrong, "STAGE_INVALID")),
        (("base",), {"options": {"ks": [5, 1]}}, (wrong, "OPTION_INVALID")),
        (("base",), {"options": {"calibrate": "magic"}}, (wrong, "OPTION_INVALID")),
        (("base",), {"options": {"confidence": 2.0}}, (wrong, "OPTION_INVALID")),
    ):
        assert await refused(create(world, *models, **fields)) == wanted
    missing = pb.CreateEvaluationRequest(dataset="datasets/gone", models=["models/base"])
    call = world.evaluations.CreateEvaluation(missing)
    assert await refused(call) == ("NOT_FOUND", "DATASET_NOT_FOUND")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"state": OperationState.RUNNING}, "DATASET_UNFINISHED"),
        ({"state": OperationState.FAILED, "error_reason": "NO_QUERIES"}, "DATASET_FAILED"),
        ({"counts": {"queries": 99}}, "TOO_FEW_QUERIES"),
    ],
)
async def test_a_dataset_that_is_not_good_enough_is_refused_before_work_is_queued(
    world: World, fields: dict[str, Any], reason: str
) -> None:
    await dataset(world, **fields)
    call = create(world, "base", options={"calibrate": "isotonic"})
    assert await refused(call) == (STATE, reason)
    with world.records.begin() as tx:
        assert tx.operations.active() == []


async def test_a_cancelled_evaluation_tells_its_operation(world: World) -> None:
    await dataset(world)
    made = await create(world, "base")
    request = pb.CancelEvaluationRequest(name=made.name)
    await world.evaluations.CancelEvaluation(request)
    with world.records.begin() as tx:
        operation = tx.operations.get(made.operation.removeprefix("operations/"))
    assert operation.state is OperationState.CANCELLING
    done(world, made)
    shown = await world.evaluations.CancelEvaluation(request)
    assert shown.state == pb.WORK_STATE_SUCCEEDED


async def test_a_report_comes_whole_and_goes_with_its_evaluation(world: World) -> None:
    await dataset(world)
    made = await create(world, "base")
    download = pb.DownloadReportRequest(name=made.name)
    assert await refused(_whole(world, download)) == (STATE, "EVALUATION_UNFINISHED")
    delete = pb.DeleteEvaluationRequest(name=made.name)
    running = world.evaluations.DeleteEvaluation(delete)
    assert await refused(running) == (STATE, "EVALUATION_RUNNING")
    key = done(world, made).report
    page = b"<html>" + bytes(range(256)) * 9_000
    world.objects.put(key, page)
    assert await _whole(world, download) == page
    await world.evaluations.DeleteEvaluation(delete)
    assert world.objects.size(key) is None
    assert await refused(get(world, made.name)) == ("NOT_FOUND", "EVALUATION_NOT_FOUND")


async def _whole(world: World, request: pb.DownloadReportRequest) -> bytes:
    return b"".join([each.data async for each in world.evaluations.DownloadReport(request)])


async def test_a_failed_evaluation_has_no_report(world: World) -> None:
    await dataset(world)
    made = await create(world, "base")
    done(world, made, state=OperationState.FAILED, report="", error_reason="NO_RELEVANT")
    assert (await get(world, made.name)).error_reason == "NO_RELEVANT"
    call = _whole(world, pb.DownloadReportRequest(name=made.name))
    assert await refused(call) == ("NOT_FOUND", "REPORT_NOT_FOUND")


async def test_evaluations_are_listed_newest_first_and_by_dataset(world: World) -> None:
    await dataset(world)
    names = [(await create(world, "base")).name for _ in range(3)]
    seen: list[str] = []
    token = ""
    while not seen or token:
        request = pb.ListEvaluationsRequest(dataset="datasets/val", page_size=2, page_token=token)
        answer = await world.evaluations.ListEvaluations(request)
        seen += [each.name for each in answer.evaluations]
        token = answer.next_page_token
    assert seen == names[::-1]
    other = pb.ListEvaluationsRequest(dataset="datasets/other")
    assert not (await world.evaluations.ListEvaluations(other)).evaluations


async def test_a_calibration_is_listed_with_its_model_and_can_be_removed(world: World) -> None:
    await dataset(world)
    with world.records.begin(write=True) as tx:
        stages = Stages(Expansion()).key
        fitted = FITTED.to_dict()
        tx.calibrations.put(CalibrationRecord("shop", MODEL_DIGEST, stages, "e1", fitted, NOW))
    listing = pb.ListCalibrationsRequest(parent="catalogs/shop")
    (shown,) = (await world.evaluations.ListCalibrations(listing)).calibrations
    assert (shown.model, shown.method, shown.threshold) == ("models/base", "platt", 0.9)
    assert (shown.evaluation, shown.stages.expand.neighbours) == ("evaluations/e1", 5)
    request = pb.DeleteCalibrationRequest(name=shown.name)
    await world.evaluations.DeleteCalibration(request)
    assert not (await world.evaluations.ListCalibrations(listing)).calibrations
    again = world.evaluations.DeleteCalibration(request)
    assert await refused(again) == ("NOT_FOUND", "CALIBRATION_NOT_FOUND")
