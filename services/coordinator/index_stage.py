"""Written plans make images searchable; a plan that ran late is healed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog

from services.coordinator.deploying import apply_verified
from services.coordinator.lapses import KEEPS_FAILING
from services.coordinator.step import Step, drop_body
from services.core.domain import keys
from services.core.domain.errors import NotFound
from services.core.domain.operations import OperationKind
from services.core.messages import IndexShard, Report
from services.core.outcomes import ShardIndexed
from services.core.shard_files import read_plan
from services.core.work_ports import Shard, ShardState, Stage

_log = structlog.get_logger(__name__)


def apply_index(step: Step) -> None:
    for shard in step.tx.shards.reported(step.operation.id, Stage.INDEX):
        assert shard.report is not None
        report = Report.from_json(shard.report)
        if report.failure:
            _retry_index(step, shard, report)
            continue
        if report.task == IndexShard.TASK:
            _note_indexed(step, shard, report)
        elif step.operation.kind is OperationKind.DEPLOY:
            apply_verified(step, report)
        shard.report = None
        if others := [each for each in shard.notes.get("plans", []) if _is_target(step, each)]:
            shard.state, shard.message = ShardState.READY, others[0]
            shard.notes["plans"] = others[1:]
        else:
            shard.stage = Stage.DONE
        step.tx.shards.save(shard)
        heal(step, report)


def _is_target(step: Step, message: dict[str, Any]) -> bool:
    """Whether the collection of an IndexShard still belongs to a deployment of the catalogue."""
    place = message["collection"], message["tenant"]
    return place in ((each.deployment.collection, each.deployment.tenant) for each in step.targets)


def _drop_again(step: Step, message: dict[str, Any]) -> None:
    """Its deployment was removed while the plan was on its way, which made the collection anew."""
    sequence = step.tx.shards.next_sequence(step.operation.id)
    body = drop_body(step, sequence, message["collection"], message["tenant"])
    step.tx.shards.add([Shard(step.operation.id, sequence, Stage.INDEX, ShardState.READY, body)])
    _log.info("index.dropped_again", collection=message["collection"])


def _note_indexed(step: Step, shard: Shard, report: Report) -> None:
    """One mark for each collection that has the shard; the live one's is what users wait for."""
    if not _is_target(step, shard.message):
        _drop_again(step, shard.message)
        return
    collection = shard.message["collection"]
    shard.notes["indexed"] = [*shard.notes.get("indexed", []), collection]
    live = step.targets[0].deployment
    if collection == live.collection or step.operation.kind is OperationKind.DEPLOY:
        step.operation.counts.points_indexed += ShardIndexed(**report.outcome).points
    if collection == live.collection:
        step.tx.imports.indexed(step.operation.catalog, report.revision)
        step.tx.catalogs.indexed(step.operation.catalog, step.now)


def heal(step: Step, report: Report) -> None:
    """After an upsert that may have run late: removes again what was deleted meanwhile."""
    if report.task != IndexShard.TASK:
        return
    catalog = step.operation.catalog
    removed = step.tx.imports.deleted_after(catalog, report.revision)
    revived = _written(step, report, removed) if removed else []
    if revived:
        _log.info("index.healed", operation=step.operation.id, images=len(revived))
        step.tx.imports.planned(catalog, revived, None)
        products = sorted({product for product, _ in revived})
        step.tx.operations.create(
            OperationKind.CHANGE, catalog, report.revision, {"products": products}, step.now
        )


def _written(
    step: Step, report: Report, removed: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Those that the plan wrote; all of them when the operation has ended and its plan is gone."""
    _, sequence, _, number = report.id.split("/")
    key = keys.plan_key(report.operation, int(sequence), int(number.partition(".")[2]))
    try:
        plan = read_plan(step.objects.get(key))
    except NotFound:
        return list(removed)
    upserts = [each.payload for each in plan if each.action == "upsert"]
    return sorted({(each["product"], each["sha256"]) for each in upserts}.intersection(removed))


def _retry_index(step: Step, shard: Shard, report: Report) -> None:
    """Outages never come here (lapses.postpone). What a new collection of several nodes may answer
    for a moment passes as well; after many tries the operation says why it ended."""
    failures = shard.notes.get("failures", 0) + 1
    if failures >= step.limits.index_attempts or report.failure == KEEPS_FAILING:
        step.operation.error_reason = report.failure
        step.operation.error_message = report.failure_message
        shard.stage = Stage.DONE
    else:
        shard.notes["failures"] = failures
        shard.state = ShardState.IN_FLIGHT  # until this lease ends
        shard.lease_until = step.now + timedelta(seconds=step.limits.index_backoff)
    shard.report = None
    step.tx.shards.save(shard)
