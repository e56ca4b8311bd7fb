"""The end of an operation: the sweep, the report, and the records of a deleted catalogue."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from services.coordinator import creating, deploying, evaluating, freezing, gating
from services.coordinator.duplicates import shared_lines, withhold
from services.coordinator.feedback_photos import remove_all
from services.coordinator.pruning import prune
from services.coordinator.step import Step
from services.core import error_report
from services.core.domain import keys
from services.core.domain.errors import NotFound
from services.core.domain.operations import Operation, OperationKind, OperationState, check_move
from services.core.object_removal import remove_below
from services.core.ports import ObjectStore
from services.core.record_ports import Records, RecordStore
from services.core.shard_files import RejectedRow, read_accepted, read_rejected
from services.core.work_ports import Stage

_PAGE = 500
_CLAIM = "finishing"  # in the result of an operation until its end: the coordinator, until when


def is_finished(step: Step) -> bool:
    """True when nothing is left to do but the report. An import first sweeps."""
    operation = step.operation
    if step.tx.shards.unfinished(operation.id):
        return False
    if operation.kind is OperationKind.DEPLOY:
        return deploying.go_on(step)
    if operation.kind is OperationKind.CREATE_MODEL:
        return creating.go_on(step)
    if operation.kind is OperationKind.CREATE_DATASET:
        return freezing.go_on(step)
    if operation.kind is OperationKind.EVALUATE:
        return evaluating.go_on(step)
    if operation.kind is OperationKind.IMPORT:
        running = operation.state is OperationState.RUNNING
        validates = step.rules.validate_only
        if running and ((not validates and _sweep(step)) or prune(step)):
            return False
        if running and not validates and withhold(step):
            return False
        discarded = step.tx.imports.discard_empty(operation.catalog, operation.revision)
        operation.counts.products_created -= discarded
    return True


def lost_its_catalog(step: Step) -> bool:
    """Ends an operation whose catalogue was deleted under it; True when that is so."""
    operation = step.operation
    if operation.kind is OperationKind.DELETE_CATALOG or not operation.catalog:
        return False
    try:
        step.tx.catalogs.deployment(operation.catalog)
    except NotFound as error:
        for stage in Stage:
            step.tx.shards.drop(operation.id, stage)
        if operation.kind is OperationKind.ERASE_CONTENT:
            return False  # pictures and embeddings are still to be erased
        operation.error_reason, operation.error_message = error.reason, error.message
        end(step.tx, operation, {}, step.now)
        return True
    return False


def claim(step: Step, coordinator: str) -> bool:
    """Whether this coordinator may write the report and end the operation; no other may for a
    while. One that takes longer, or dies, is overtaken: what both then do twice is the same."""
    owner, until = step.operation.result.get(_CLAIM, ("", ""))
    if owner not in ("", coordinator) and step.now < datetime.fromisoformat(until):
        return False
    end = step.now + timedelta(seconds=step.limits.finishing)
    step.operation.result = step.operation.result | {_CLAIM: [coordinator, end.isoformat()]}
    return True


def release(operation: Operation) -> bool:
    """Forgets who was finishing the operation; False when nobody was."""
    return operation.result.pop(_CLAIM, None) is not None


def claimed(tx: Records, operation: str, coordinator: str) -> Operation | None:
    """The operation, if it has not ended and no other coordinator has claimed its end."""
    try:
        found = tx.operations.get(operation)
    except NotFound:
        return None
    owner = found.result.get(_CLAIM, ("", ""))[0]
    return None if found.state.done or owner != coordinator else found


def is_claimed(records: RecordStore, operation: str, coordinator: str) -> bool:
    """As `claimed`, in a transaction of its own."""
    with records.begin() as tx:
        return claimed(tx, operation, coordinator) is not None


def end(tx: Records, operation: Operation, result: dict[str, Any], now: datetime) -> None:
    """Moves the operation into its last state."""
    cancelling = operation.state is OperationState.CANCELLING
    last = OperationState.CANCELLED if cancelling else OperationState.SUCCEEDED
    if operation.error_reason:
        last = OperationState.FAILED
    check_move(operation.id, operation.state, last)
    release(operation)
    operation.state, operation.result = last, operation.result | result
    operation.end_time = operation.update_time = now
    tx.operations.save(operation)
    tx.embeddings.forget(operation.id)
    tx.feeds.forget(operation.id)
    match operation.kind:
        case OperationKind.CREATE_DATASET:
            freezing.close_dataset(tx, operation)
        case OperationKind.EVALUATE:
            evaluating.close_evaluation(tx, operation)
        case OperationKind.DEPLOY:
            gating.close_gate(tx, operation)


def _sweep(step: Step) -> bool:
    """Removes images that their products no longer list; False when there are none."""
    operation, tx = step.operation, step.tx
    stale = tx.imports.stale_images(operation.catalog, operation.revision, step.limits.sweep)
    if not stale:
        return False
    revision = tx.catalogs.next_revision(operation.catalog)
    tx.imports.delete_images(operation.catalog, stale, revision, step.now)
    operation.counts.images_removed += len(stale)
    step.plan(sorted({product for product, _ in stale}))
    return True


def write_report(
    records: RecordStore, objects: ObjectStore, operation: Operation, shown: int
) -> dict[str, Any]:
    """Writes every rejection as CSV; returns the result of the operation with the first `shown`."""
    sample: list[RejectedRow] = []
    lines = _lines(records, objects, operation)
    first = next(lines, None)
    if first is None:
        return {"rejections": [], "errors_uri": ""}

    def chunks() -> Iterator[bytes]:
        yield error_report.HEADER
        for shard in chain([first], lines):
            sample.extend(shard[: max(0, shown - len(sample))])
            yield error_report.csv_lines(shard)

    key = keys.report_key(operation.id)
    objects.put_stream(key, chunks())
    return {"rejections": [asdict(row) for row in sample], "errors_uri": key}


def remove_working_files(objects: ObjectStore, operation: Operation) -> None:
    """Drops what the stages handed to each other, the manifest, and what came to nothing."""
    prefixes = [keys.working_prefix(operation.id)]
    request = operation.request
    if operation.error_reason or operation.state is OperationState.CANCELLING:
        if operation.kind is OperationKind.CREATE_DATASET:
            prefixes.append(keys.dataset_prefix(request["dataset"], request["build"]))
        if operation.kind is OperationKind.EVALUATE:
            prefixes.append(keys.evaluation_prefix(request["evaluation"]))
    for prefix in prefixes:
        remove_below(objects, prefix)
    if manifest := operation.request.get("manifest"):
        objects.delete(manifest)


def remove_catalog(records: RecordStore, objects: ObjectStore, operation: Operation) -> None:
    """Removes users' photos and the records of a catalogue, these in short transactions.

    Files of its datasets and evaluations are orphans from then on.
    """
    # Photos first: once the records are gone there may be another catalogue of this name.
    remove_all(objects, operation.catalog)
    removed = 1
    while removed:
        with records.begin(write=True) as tx:
            removed = tx.catalogs.remove_rows(operation.catalog, 5_000)


def _lines(
    records: RecordStore, objects: ObjectStore, operation: Operation
) -> Iterator[list[RejectedRow]]:
    withheld: frozenset[str] = frozenset()
    if operation.counts.images_withheld:
        with records.begin() as tx:
            withheld = frozenset(tx.duplicates.withheld(operation.catalog))
    after = -2
    while True:
        with records.begin() as tx:
            page = tx.shards.page(operation.id, after, _PAGE)
        if not page:
            return
        after = page[-1].sequence
        for shard in page:
            rows = [
                row
                for key in shard.notes.get("rejected", [])
                for row in read_rejected(objects.get(key))
            ]
            if withheld and "accepted" in shard.notes and not shard.notes.get("failed"):
                rows += shared_lines(read_accepted(objects.get(shard.notes["accepted"])), withheld)
            if rows:
                yield sorted(rows, key=lambda row: (row.row, not row.row_rejected))
