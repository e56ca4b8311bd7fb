"""The coordinator: takes reports, records stages, and publishes what comes next.

Every step is one transaction over the records (the shard table is the outbox), after which the
leased shards are published. A crash in between loses nothing: a lease that ends makes its shard
ready again, and workers are idempotent.
"""

import threading
from datetime import timedelta
from typing import Any

import structlog

from services.coordinator import erasing, finishing, starting
from services.coordinator.index_stage import heal
from services.coordinator.settings import CoordinatorLimits
from services.coordinator.stage_times import note_time
from services.coordinator.stages import apply_reports
from services.coordinator.step import Step
from services.core.domain.errors import NotFound, Unavailable
from services.core.domain.operations import Operation, OperationKind, OperationState
from services.core.messages import (
    DropCollection,
    EmbedShard,
    EmbedSingle,
    IndexShard,
    IngestManifest,
    IngestShard,
    Message,
    OperationAccepted,
    Report,
)
from services.core.ports import Clock, ObjectStore, TaskQueue
from services.core.record_ports import RecordStore
from services.core.work_ports import Shard, ShardState, Stage

_log = structlog.get_logger(__name__)
_TASKS: dict[str, type[Message]] = {
    each.TASK: each
    for each in (IngestManifest, IngestShard, EmbedShard, EmbedSingle, IndexShard, DropCollection)
}


class Coordinator:
    """Drives every operation from its acceptance to its end. Safe to call from many threads."""

    def __init__(
        self,
        records: RecordStore,
        objects: ObjectStore,
        queue: TaskQueue,
        clock: Clock,
        limits: CoordinatorLimits,
    ) -> None:
        self._records = records
        self._objects = objects
        self._queue = queue
        self._clock = clock
        self._limits = limits
        # One step at a time: steps of one operation must not interleave.
        self._step = threading.Lock()

    def recover(self) -> None:
        """At a start without a surviving broker: what was in flight is nowhere now."""
        with self._records.begin(write=True) as tx:
            lapsed = tx.shards.lapse(None)
        _log.info("coordinator.recovered", shards=lapsed)

    def tick(self) -> None:
        """Periodic: ends leases, and moves every operation that can move."""
        now = self._clock.now()
        with self._records.begin(write=True) as tx:
            tx.shards.lapse(now)
            tx.operations.purge(
                OperationKind.CHANGE, now - timedelta(seconds=self._limits.keep_changes)
            )
            active = [operation.id for operation in tx.operations.active()]
        for operation in active:
            self._advance(operation)

    def accepted(self, message: OperationAccepted) -> None:
        """An operation was created or is to be cancelled."""
        self._advance(message.operation)

    def report(self, report: Report) -> None:
        """A worker is done with a shard, or cannot ever be. Repeats change nothing."""
        self._advance(report.operation, report)

    def _advance(self, operation_id: str, report: Report | None = None) -> None:
        with self._step:
            finished, leased = self._transact(operation_id, report)
            self._publish(leased)
            if finished is not None:
                self._finish(finished)

    def _transact(
        self, operation_id: str, report: Report | None
    ) -> tuple[Operation | None, list[Shard]]:
        now = self._clock.now()
        with self._records.begin(write=True) as tx:
            try:
                operation = tx.operations.get(operation_id)
            except NotFound:
                return None, []
            step = Step(tx, self._objects, operation, now, self._limits)
            if report is not None:
                self._take(step, report)
            if operation.state.done or finishing.lost_its_catalog(step):
                return None, []
            if operation.state is OperationState.QUEUED:
                starting.start(step)
            if operation.state is OperationState.CANCELLING:
                step.drop_unapplied()
            apply_reports(step)
            finished = finishing.is_finished(step)
            operation.update_time = now
            tx.operations.save(operation)
            until = now + timedelta(seconds=self._limits.lease)
            leased = tx.shards.lease(
                operation.id, self._limits.window, now, until, list(Stage)[:-1]
            )
        return (operation if finished and not leased else None), leased

    def _take(self, step: Step, report: Report) -> None:
        """Notes the report at its shard unless it was noted before."""
        shard = step.tx.shards.get(report.operation, int(report.id.split("/")[1]))
        expected = shard is not None and shard.message["id"] == report.id
        if (
            shard is None
            or not expected
            or shard.state is ShardState.REPORTED
            or (shard.stage is Stage.DONE)
        ):
            _log.info("report.repeated", id=report.id, task=report.task)
            heal(step, report)
            return
        note_time(step.operation, report)
        shard.report, shard.state, shard.lease_until = report.to_json(), ShardState.REPORTED, None
        step.tx.shards.save(shard)

    def _publish(self, leased: list[Shard]) -> None:
        for position, shard in enumerate(leased):
            try:
                self._queue.publish(_message(shard.message))
            except Unavailable as error:
                _log.warning("publish.failed", reason=error.reason, error=error.message)
                self._give_back(leased[position:])
                return

    def _give_back(self, shards: list[Shard]) -> None:
        with self._records.begin(write=True) as tx:
            for shard in shards:
                shard.state = ShardState.READY
                tx.shards.save(shard)

    def _finish(self, operation: Operation) -> None:
        """Writes the report outside any transaction, then ends the operation."""
        if operation.kind is OperationKind.DELETE_CATALOG:
            finishing.remove_catalog(self._records, operation)
        result: dict[str, Any] = {}
        if operation.kind is OperationKind.IMPORT:
            result = finishing.write_report(
                self._records, self._objects, operation, self._limits.reported_rejections
            )
        if operation.kind is OperationKind.ERASE_CONTENT and not operation.error_reason:
            erased = erasing.erase(self._records, self._objects, operation)
            if erased is None:
                return  # shards that are under way come first; the next tick looks again
            result = erased
        with self._records.begin(write=True) as tx:
            ending = tx.operations.get(operation.id)
            if operation.kind is OperationKind.ERASE_CONTENT:
                erasing.forget_details(ending)
            finishing.end(tx, ending, result, self._clock.now())
        finishing.remove_working_files(self._objects, operation)
        _log.info("operation.done", operation=operation.id, kind=operation.kind)


def _message(body: dict[str, Any]) -> Message:
    return _TASKS[body["task"]].from_json(body)
