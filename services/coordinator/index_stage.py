"""Written plans make images searchable; a plan that ran late is healed."""

from datetime import timedelta

import structlog

from services.coordinator.step import Step
from services.core.domain.operations import OperationKind
from services.core.messages import IndexShard, Report, ShardIndexed
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
            outcome = ShardIndexed(**report.outcome)
            step.operation.counts.points_indexed += outcome.points
            step.tx.imports.indexed(step.operation.catalog, report.revision)
            step.tx.catalogs.indexed(step.operation.catalog, step.now)
        shard.stage, shard.report = Stage.DONE, None
        step.tx.shards.save(shard)
        heal(step, report)


def heal(step: Step, report: Report) -> None:
    """After an upsert that may have run late: removes again what was deleted meanwhile."""
    if report.task != IndexShard.TASK:
        return
    catalog = step.operation.catalog
    revived = step.tx.imports.deleted_after(catalog, report.revision)
    if revived:
        _log.info("index.healed", operation=step.operation.id, images=len(revived))
        step.tx.imports.planned(catalog, revived, None)
        products = sorted({product for product, _ in revived})
        step.tx.operations.create(
            OperationKind.CHANGE, catalog, report.revision, {"products": products}, step.now
        )


def _retry_index(step: Step, shard: Shard, report: Report) -> None:
    """The vector store may come back; after many tries the operation says why it ended."""
    if shard.attempts >= step.limits.index_attempts:
        step.operation.error_reason = report.failure
        step.operation.error_message = report.failure_message
        shard.stage = Stage.DONE
    else:
        shard.state = ShardState.IN_FLIGHT  # until this lease ends
        shard.lease_until = step.now + timedelta(seconds=step.limits.index_backoff)
    shard.report = None
    step.tx.shards.save(shard)
