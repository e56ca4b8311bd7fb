"""Leases that ended without a report: the shard is published again, or fails in the end.

Most ended leases are nobody's fault: the broker was away, no worker was running, or the queue was
long. They are no reason to give a shard up, however many hours they take. So a worker says when it
starts a shard that is published again, which also renews the lease; only when a whole lease then
goes by without a report does it count against the shard. A shard that counts too many of these
fails as if a worker had reported so, and its rows are rejected with the reason.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from services.coordinator.settings import CoordinatorLimits
from services.core.evaluation_messages import EvaluateModel, FreezeDataset, ReportEvaluation
from services.core.messages import FitLinear, Report
from services.core.record_ports import Records
from services.core.work_ports import Shard, ShardState

KEEPS_FAILING = "SHARD_KEEPS_FAILING"
# Notes of a shard about its current message.
_LAPSED, _STARTED, _LOST = "lapsed", "started", "started_and_lapsed"
# They go through whole galleries in one message.
_LONG = (FitLinear.TASK, FreezeDataset.TASK, EvaluateModel.TASK, ReportEvaluation.TASK)
_log = structlog.get_logger(__name__)


def attempt(shard: Shard) -> int:
    """Which attempt a worker makes at the current message."""
    return 1 + int(shard.notes.get(_LAPSED, 0))


def forget(shard: Shard) -> None:
    """The current message has its report."""
    for name in (_LAPSED, _STARTED, _LOST):
        shard.notes.pop(name, None)


def lease(task: str, limits: CoordinatorLimits) -> timedelta:
    """How long a worker has for a message of this task."""
    return timedelta(seconds=limits.long_lease if task in _LONG else limits.lease)


def lengthen(
    tx: Records, leased: Sequence[Shard], now: datetime, limits: CoordinatorLimits
) -> None:
    """Of shards just leased: those whose task takes longer than others have longer leases."""
    for shard in leased:
        if shard.message["task"] in _LONG:
            shard.lease_until = now + lease(shard.message["task"], limits)
            tx.shards.save(shard)


def note_start(tx: Records, report: Report, now: datetime, limits: CoordinatorLimits) -> None:
    """A worker has taken a shard, and has a whole lease. Starts of earlier attempts say nothing."""
    shard = tx.shards.get(report.operation, int(report.id.split("/")[1]))
    if (
        shard is None
        or shard.state is not ShardState.IN_FLIGHT
        or shard.message["id"] != report.id
        or attempt(shard) != report.attempt
    ):
        return
    shard.notes[_STARTED], shard.lease_until = True, now + lease(report.task, limits)
    tx.shards.save(shard)


def postpone(
    tx: Records, shard: Shard, report: Report, now: datetime, limits: CoordinatorLimits
) -> None:
    """A server that the shard needs is away: it is published again later, however often."""
    _log.warning(
        "shard.postponed", id=report.id, reason=report.failure, error=report.failure_message
    )
    forget(shard)
    shard.state = ShardState.IN_FLIGHT
    shard.lease_until = now + timedelta(seconds=limits.outage_pause)
    tx.shards.save(shard)


def end_leases(tx: Records, now: datetime, limits: CoordinatorLimits) -> None:
    """Shards whose lease has ended become ready again, or have failed."""
    for shard in tx.shards.expired(now):
        lost = shard.notes.get(_LOST, 0) + shard.notes.pop(_STARTED, False)
        shard.notes |= {_LAPSED: shard.notes.get(_LAPSED, 0) + 1, _LOST: lost}
        shard.state, shard.lease_until = ShardState.READY, None
        if lost >= limits.lapses:
            _fail(shard, limits)
        tx.shards.save(shard)


def _fail(shard: Shard, limits: CoordinatorLimits) -> None:
    until = lease(shard.message["task"], limits)
    report = Report(
        id=shard.message["id"],
        operation=shard.operation,
        revision=shard.message["revision"],
        task=shard.message["task"],
        failure=KEEPS_FAILING,
        failure_message=f"{limits.lapses} workers started {shard.message['id']} and did not "
        f"report within {until}: see their logs, then import these rows again",
    )
    _log.warning("shard.keeps_failing", id=report.id, task=report.task, operation=shard.operation)
    shard.report, shard.state = report.to_json(), ShardState.REPORTED
    forget(shard)
