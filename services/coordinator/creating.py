"""New models: a worker prepares a backbone or fits a linear part; an ensemble is just noted."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from services.coordinator import planning
from services.coordinator.filling import apply_filled, fill, is_filled
from services.coordinator.step import Step
from services.coordinator.targets import Target
from services.core.domain import keys
from services.core.domain.errors import InvalidArgument
from services.core.domain.model import LinearSpec, Member, Model
from services.core.domain.model_spec import ModelSpec
from services.core.domain.operations import OperationState
from services.core.messages import EmbedShard, FitLinear, PrepareModel, Report
from services.core.outcomes import LinearFitted, ModelPrepared
from services.core.shard_files import PlannedPoint, write_plan
from services.core.work_ports import Shard, ShardState, Stage

_log = structlog.get_logger(__name__)


def start_model(step: Step) -> None:
    operation = step.operation
    match operation.request["kind"]:
        case "embedder":
            message = PrepareModel(
                id=f"{operation.id}/0/prepare/0",
                operation=operation.id,
                revision=0,
                recipe=operation.request["recipe"],
                weights=operation.request["weights"],
            )
            body = step.body(message)
            step.tx.shards.add([Shard(operation.id, 0, Stage.EMBED, ShardState.READY, body)])
        case "ensemble":
            _register(step, _as_asked(step, Model.from_dict(operation.request["spec"])), ())
        case "linear":
            operation.result = {"cursor": ""}


def apply_model(step: Step) -> None:
    """Takes what workers report, and gives them more."""
    while apply_filled(step, _take):
        pass
    if step.operation.request["kind"] == "linear" and not _is_over(step):
        fill(step, [each.digest for each in _of(step).embedders])


def go_on(step: Step) -> bool:
    """When no shard is left: fits the linear part once all is embedded; True at the end."""
    operation = step.operation
    if _is_over(step) or "model" in operation.result:
        return True
    if operation.request["kind"] == "linear" and is_filled(step):
        request, sequence = operation.request, step.tx.shards.next_sequence(operation.id)
        message = FitLinear(
            id=f"{operation.id}/{sequence}/fit/0",
            operation=operation.id,
            revision=0,
            model=_of(step).to_json(),
            plans=keys.working_prefix(operation.id),
            method=request["method"],
            dimension=request["dimension"],
            shrinkage=request["shrinkage"],
            norms=request["norms"],
        )
        body = step.body(message)
        step.tx.shards.add([Shard(operation.id, sequence, Stage.EMBED, ShardState.READY, body)])
    return False


def _is_over(step: Step) -> bool:
    operation = step.operation
    return operation.state is OperationState.CANCELLING or bool(operation.error_reason)


def _of(step: Step) -> Model:
    return Model.from_dict(step.operation.request["of"])


def _take(step: Step, shard: Shard) -> None:
    shard.stage = Stage.DONE
    if shard.message["task"] == EmbedShard.TASK:
        _list(step, shard)
        return
    assert shard.report is not None
    report = Report.from_json(shard.report)
    if report.failure:
        _fail(step, report.failure, report.failure_message)
        return
    try:
        if report.task == PrepareModel.TASK:
            prepared = ModelPrepared(**report.outcome)
            model = Model.plain(ModelSpec.from_json(prepared.spec))
            _register(step, model, tuple(prepared.notes))
        else:
            _take_linear(step, LinearFitted(**report.outcome))
    except InvalidArgument as error:
        _fail(step, error.reason, error.message)


def _fail(step: Step, reason: str, message: str) -> None:
    step.operation.error_reason, step.operation.error_message = reason, message


def _list(step: Step, shard: Shard) -> None:
    """Notes for the fit where the embeddings of these products are, each picture once."""
    operation = step.operation
    entries = step.tx.imports.present(operation.catalog, shard.notes["products"])
    of = Target(step.tx.catalogs.deployment(operation.catalog), _of(step))
    points = [
        PlannedPoint("upsert", sha256, 0, {}, *zip(*places, strict=True))
        for sha256, places in sorted(planning.places(step.tx, of, entries).items())
    ]
    step.objects.put(keys.plan_key(operation.id, shard.sequence, 0), write_plan(points))


def _take_linear(step: Step, fitted: LinearFitted) -> None:
    of = _of(step)
    linear = LinearSpec(
        fitted.sha256, fitted.input_dim, fitted.output_dim, step.operation.request["norms"]
    )
    if len(of.members) == 1:
        model = replace(of, members=(Member(of.members[0].embedder, linear),))
    else:
        model = replace(of, linear=linear)
    note = (
        f"fitted to {fitted.samples} embeddings; its {fitted.output_dim} of {fitted.input_dim} "
        f"dimensions have {fitted.explained:.1%} of the variance"
    )
    _register(step, _as_asked(step, model), (note,))


def _as_asked(step: Step, model: Model) -> Model:
    request = step.operation.request
    distance = request.get("distance") or model.distance
    return replace(model, distance=distance, normalised=not request.get("unnormalised", False))


def _register(step: Step, model: Model, notes: tuple[str, ...]) -> None:
    """Stores what the model is where workers find it, and gives it its name."""
    operation = step.operation
    name, digest = operation.request["model"], model.digest
    known = step.tx.models.named(name)
    if known is not None and known != model.to_dict():
        message = f"models/{name} was made with other parts meanwhile: choose another name"
        _fail(step, "MODEL_EXISTS", message)
        return
    step.objects.put(keys.model_spec_key(digest), model.to_json().encode())
    step.tx.models.put(name, digest, model.to_dict(), step.now, notes)
    _log.info("model.made", name=name, digest=digest)
    operation.result = operation.result | {"model": _told(name, model, step.now, notes)}


def _told(name: str, model: Model, now: datetime, notes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "digest": model.digest,
        "spec": model.to_dict(),
        "create_time": now.isoformat(),
        "notes": list(notes),
    }
