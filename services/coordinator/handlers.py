"""The coordinator: takes reports, records stages, and publishes what comes next.

Every step is one transaction over the records (the shard table is the outbox), after which the
leased shards are published. A crash in between loses nothing: a lease that ends makes its shard
ready again, and workers are idempotent.

Several coordinators may run over the same records: their transactions take turns, and what one
does between two transactions is either harmless when done twice (publishing) or claimed (the end).
"""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from services.coordinator import erasing, finishing, lapses, starting
from services.coordinator.feedback_photos import expire_photos
from services.coordinator.index_stage import heal
from services.coordinator.orphans import Orphans
from services.coordinator.outgrowing import outgrow
from services.coordinator.serving import ServingList
from services.coordinator.settings import CoordinatorLimits
from services.coordinator.stage_times import note_time
from services.coordinator.stages import apply_reports
from services.coordinator.step import Step
from services.core.domain import names
from services.core.domain.errors import NotFound, ShelflensError, Unavailable
from services.core.domain.operations import Operation, OperationKind, OperationState
from services.core.evaluation_messages import (
    EvaluateModel,
    ExplainPairs,
    FreezeDataset,
    ReportEvaluation,
)
from services.core.messages import (
    DropCollection,
    EmbedShard,
    EmbedSingle,
    FitLinear,
    IndexShard,
    IngestManifest,
    IngestShard,
    Message,
    OperationAccepted,
    PrepareModel,
    Report,
    VerifyCollection,
)
from services.core.ports import Clock, ObjectStore, TaskQueue
from services.core.record_ports import RecordStore
from services.core.work_ports import Shard, ShardState, Stage

_log = structlog.get_logger(__name__)
_TASKS: dict[str, type[Message]] = {
    each.TASK: each
    for each in (
        IngestManifest,
        IngestShard,
        EmbedShard,
        EmbedSingle,
        PrepareModel,
        FitLinear,
        FreezeDataset,
        EvaluateModel,
        ExplainPairs,
        ReportEvaluation,
        IndexShard,
        VerifyCollection,
        DropCollection,
    )
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
        self._orphans = Orphans(records, objects, limits)
        self.serving = ServingList(records, objects, clock)
        self._name = names.new_id()
        # One step at a time: this process publishes in the order in which it leased.
        self._step = threading.Lock()

    def recover(self) -> None:
        """At a start without a surviving broker: what was in flight is nowhere now.

        Only where this is the one coordinator, and the broker and all workers died with the last.
        """
        with self._records.begin(write=True) as tx:
            lapsed = tx.shards.lapse(None)
            for operation in tx.operations.active():
                if finishing.release(operation):
                    tx.operations.save(operation)
        _log.info("coordinator.recovered", shards=lapsed)

    def tick(self) -> None:
        """Periodic: ends leases, moves every operation that can move, removes orphans."""
        now = self._clock.now()
        self.serving.write()
        with self._records.begin(write=True) as tx:
            lapses.end_leases(tx, now, self._limits)
            tx.operations.purge(
                OperationKind.CHANGE, now - timedelta(seconds=self._limits.keep_changes)
            )
            active = [operation.id for operation in tx.operations.active()]
        for operation in active:
            try:
                self._advance(operation)
            except Unavailable:
                raise
            except Exception as error:
                # One that cannot go on does not keep the others.
                reason = error.reason if isinstance(error, ShelflensError) else "INTERNAL"
                _log.exception("operation.step_failed", operation=operation, reason=reason)
        self._orphans.sweep(now)
        expire_photos(self._records, self._objects, now)

    def accepted(self, message: OperationAccepted) -> None:
        """An operation was created or is to be cancelled."""
        self._advance(message.operation)

    def report(self, report: Report) -> None:
        """A worker is done with a shard, or cannot ever be. Repeats change nothing."""
        if not report.started:
            self._advance(report.operation, report)
            return
        with self._records.begin(write=True) as tx:
            lapses.note_start(tx, report, self._clock.now(), self._limits)

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
            until = now + timedelta(seconds=self._limits.lease)
            leased = tx.shards.lease(
                operation.id, self._limits.window, now, until, list(Stage)[:-1]
            )
            lapses.lengthen(tx, leased, now, self._limits)
            ends = finished and not leased and finishing.claim(step, self._name)
            operation.update_time = now
            tx.operations.save(operation)
        return (operation if ends else None), leased

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
        if report.passing:
            lapses.postpone(step.tx, shard, report, step.now, self._limits)
            return
        note_time(step.operation, report)
        lapses.forget(shard)
        shard.report, shard.state, shard.lease_until = report.to_json(), ShardState.REPORTED, None
        step.tx.shards.save(shard)

    def _publish(self, leased: list[Shard]) -> None:
        for position, shard in enumerate(leased):
            try:
                self._queue.publish(_message(shard))
            except Unavailable as error:
                _log.warning("publish.failed", reason=error.reason, error=error.message)
                self._give_back(leased[position:])
                return

    def _give_back(self, shards: list[Shard]) -> None:
        with self._records.begin(write=True) as tx:
            for shard in shards:
                # Unless somebody else has moved it since it was leased.
                if tx.shards.get(shard.operation, shard.sequence) == shard:
                    shard.state = ShardState.READY
                    tx.shards.save(shard)

    def _finish(self, operation: Operation) -> None:
        """Writes the report outside any transaction, then ends the operation."""
        try:
            result = self._result(operation)
        except ShelflensError:
            if finishing.is_claimed(self._records, operation.id, self._name):
                raise
            return  # it took so long that another has finished meanwhile
        if result is None:
            return  # shards that are under way come first; the next tick looks again
        with self._records.begin(write=True) as tx:
            ending = finishing.claimed(tx, operation.id, self._name)
            if ending is None or tx.shards.unfinished(operation.id):
                return
            if operation.kind is OperationKind.ERASE_CONTENT:
                erasing.forget_details(ending)
            finishing.end(tx, ending, result, self._clock.now())
            outgrow(tx, ending, self._limits, self._clock)
        finishing.remove_working_files(self._objects, operation)
        _log.info("operation.done", operation=operation.id, kind=operation.kind)

    def _result(self, operation: Operation) -> dict[str, Any] | None:
        if operation.kind is OperationKind.DELETE_CATALOG:
            finishing.remove_catalog(self._records, self._objects, operation)
        if operation.kind is OperationKind.IMPORT:
            return finishing.write_report(
                self._records, self._objects, operation, self._limits.reported_rejections
            )
        if operation.kind is OperationKind.ERASE_CONTENT and not operation.error_reason:
            return erasing.erase(self._records, self._objects, operation)
        return {}


def _message(shard: Shard) -> Message:
    body = shard.message
    return replace(_TASKS[body["task"]].from_json(body), attempt=lapses.attempt(shard))
