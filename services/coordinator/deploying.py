"""Deployments: a new collection is filled beside the live one, checked, and switched to.

(evaluating) -> embedding -> verifying -> waiting for workers -> (comparing) -> switched

While it is filled, every other write of the catalogue goes to it too (step.plan_shard), with a
revision of its own: whatever comes first, the newer one stays. Anything that goes wrong before the
switch leaves the live deployment as it is and drops the new collection. The switch is one
transaction.
"""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import structlog

from services.coordinator import planning
from services.coordinator.filling import apply_filled, fill, is_filled
from services.coordinator.gating import passes
from services.coordinator.step import Step, drop_body
from services.coordinator.targets import Target, target
from services.coordinator.verifying import is_verified, note_verified, verify
from services.core.deployment_ports import Deployment, DeploymentState
from services.core.domain.evaluation_requests import gate_of
from services.core.domain.operations import OperationState
from services.core.messages import Report, VerifyCollection
from services.core.work_ports import Shard, ShardState, Stage

_log = structlog.get_logger(__name__)
EVALUATING, EMBEDDING, VERIFYING = "evaluating", "embedding", "verifying"
WAITING = "waiting for workers"
COMPARING, SWITCHED = "comparing", "switched"


def start_deploy(step: Step) -> None:
    gated = gate_of(step.operation.request) is not None
    step.operation.result = {"step": EVALUATING if gated else EMBEDDING, "cursor": ""}


def apply_deploy(step: Step) -> None:
    """Takes what workers have embedded, and gives them more."""
    if _is_over(step) or step.operation.result["step"] == EVALUATING:
        return
    new = _target(step)
    while apply_filled(step, lambda step, shard: _plan(step, shard, new)):
        pass
    fill(step, new.embedders)


def apply_verified(step: Step, report: Report) -> None:
    """Of a report that the index stage takes: whether the new collection is whole."""
    if report.task == VerifyCollection.TASK and not _is_over(step):
        note_verified(step, _target(step), report)


def go_on(step: Step) -> bool:
    """All steps that can be taken while no shard is under way; True at the end."""
    while not _is_over(step):
        before = step.operation.result["step"]
        if before == SWITCHED:
            return True
        _take(step, before)
        if step.operation.result["step"] == before:
            return False  # the next tick looks again
        if step.tx.shards.unfinished(step.operation.id):
            return False
    return _give_up(step)


def _take(step: Step, now: str) -> None:
    match now:
        case "evaluating" if _may_go_on(step):
            _to(step, EMBEDDING)
            apply_deploy(step)
        case "embedding" if is_filled(step):
            _to(step, VERIFYING)
            verify(step, _target(step))
        case "verifying" if is_verified(step):
            _to(step, WAITING)
        case "verifying":
            verify(step, _target(step))
        case "waiting for workers" if _workers_ready(step):
            _to(step, COMPARING)
            if step.operation.request["compare_searches"]:
                step.tx.deployments.compare(step.operation.catalog, _target(step).deployment.number)
        case "comparing" if _compared(step):
            _switch(step)


def _may_go_on(step: Step) -> bool:
    gate = gate_of(step.operation.request)
    return gate is None or passes(step, gate)


def _is_over(step: Step) -> bool:
    operation = step.operation
    return operation.state is OperationState.CANCELLING or bool(operation.error_reason)


def _target(step: Step) -> Target:
    operation = step.operation
    found = step.tx.deployments.get(operation.catalog, operation.request["deployment"])
    return target(step.tx, found)


def _plan(step: Step, shard: Shard, new: Target) -> None:
    """What the new collection should hold of the shard's products, as the records are now."""
    tx, operation = step.tx, step.operation
    entries = tx.imports.present(operation.catalog, shard.notes["products"])
    found = planning.places(tx, new, entries)
    entries = [each for each in entries if each.sha256 in found]
    if not entries:
        shard.stage = Stage.DONE
        return
    revision = tx.catalogs.next_revision(operation.catalog)
    points = [planning.upsert(new, each, revision, found) for each in entries]
    message = planning.write(step.objects, new, points, revision, operation.id, shard.sequence)
    shard.stage, shard.state, shard.message = Stage.INDEX, ShardState.READY, step.body(message)
    first = entries[0]
    shard.notes["probe"] = [first.product.id, first.sha256]


def _to(step: Step, name: str) -> None:
    _log.info("deploy.step", operation=step.operation.id, step=name)
    step.operation.result = step.operation.result | {"step": name, "since": step.now.isoformat()}


def _seconds(step: Step) -> float:
    """How long the current step takes by now."""
    return (step.now - datetime.fromisoformat(step.operation.result["since"])).total_seconds()


def _workers_ready(step: Step) -> bool:
    """Whether every worker that embeds queries has the model; fails the deploy in the end."""
    digest = step.operation.request["model_digest"]
    known = step.tx.deployments.workers(step.now - timedelta(seconds=step.limits.worker_silence))
    late = sorted(worker for worker, models in known.items() if digest not in models)
    if late and _seconds(step) > step.limits.worker_wait:
        step.operation.error_reason = "WORKERS_NOT_READY"
        step.operation.error_message = (
            f"after {step.limits.worker_wait:g} s these query workers have not loaded model "
            f"{digest[:12]}: {', '.join(late[:5])}; their logs say why"
        )
    return not late


def _compared(step: Step) -> bool:
    request = step.operation.request
    wanted, most = request["compare_searches"], request["compare_seconds"]
    seen = _target(step).deployment.comparison.get("searches", 0)
    return bool(seen >= wanted or _seconds(step) >= most)


def _switch(step: Step) -> None:
    tx, operation = step.tx, step.operation
    old = tx.catalogs.deployment(operation.catalog)
    new = tx.deployments.switch(operation.catalog, operation.request["deployment"], step.now)
    _to(step, SWITCHED)
    operation.result["deployment"] = _told(new)
    _log.info("deploy.switched", catalog=new.catalog, deployment=new.number, model=new.model_digest)
    if operation.request["discard_old"]:
        tx.deployments.remove(operation.catalog, old.number)
        _drop(step, old)


def _give_up(step: Step) -> bool:
    """Drops what was built; True when it is gone."""
    tx, operation = step.tx, step.operation
    found = tx.deployments.get(operation.catalog, operation.request["deployment"])
    if found.state is DeploymentState.BUILDING:
        tx.deployments.remove(operation.catalog, found.number)
        _drop(step, found)
        return False
    return True


def _drop(step: Step, deployment: Deployment) -> None:
    sequence = step.tx.shards.next_sequence(step.operation.id)
    body = drop_body(step, sequence, deployment.collection, deployment.tenant)
    step.tx.shards.add([Shard(step.operation.id, sequence, Stage.INDEX, ShardState.READY, body)])


def _told(deployment: Deployment) -> dict[str, Any]:
    times = ("create_time", "index_time", "switch_time")
    values = asdict(deployment)
    return values | {name: values[name].isoformat() if values[name] else None for name in times}
