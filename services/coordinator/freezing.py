"""Datasets: query photos and a catalogue's images become the lists that models are measured on.

checking -> listing -> freezing

The rows are cut and checked as those of an import, but become draft queries and nothing in the
catalogue. Then the catalogue's images are listed, some pages a step, while other writes go on. A
row that cannot be a query fails the dataset: silently missing queries would be a lie.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

import structlog

from services.coordinator.dataset_pages import gallery_drafts, query_drafts, write_drafts
from services.coordinator.filling import apply_filled
from services.coordinator.manifest_stage import apply_manifest
from services.coordinator.step import Step, embed_body
from services.coordinator.targets import lacking
from services.coordinator.verdicts import judge_rows
from services.core.dataset_files import GALLERY, QUERIES
from services.core.domain import keys
from services.core.domain.errors import NotFound
from services.core.domain.operations import Operation, OperationState
from services.core.evaluation_messages import FreezeDataset
from services.core.evaluation_ports import Dataset
from services.core.messages import EmbedShard, IngestShard, Report
from services.core.outcomes import DatasetFrozen, ShardIngested
from services.core.record_ports import Records
from services.core.shard_files import AcceptedRow, RejectedRow, read_rejected
from services.core.work_ports import Shard, ShardState, Stage

CHECKING, LISTING, FREEZING = "checking", "listing", "freezing"
_NAMED = 5  # rejected rows in a message
_log = structlog.get_logger(__name__)


def start_dataset(step: Step) -> None:
    """Notes that it is being made."""
    step.operation.result = {"step": CHECKING, "rejected": []}
    found = _dataset(step.tx, step.operation)
    if found is not None:
        step.tx.datasets.save(replace(found, state=OperationState.RUNNING))


def apply_dataset(step: Step) -> None:
    """Takes what workers report about rows, photos and the frozen pages."""
    with step.failing():
        while apply_manifest(step) or _apply_rows(step) or _apply_embedded(step):
            pass


def go_on(step: Step) -> bool:
    """When no shard is left: lists the gallery, then has both frozen; True at the end."""
    result = step.operation.result
    if step.is_over() or "counts" in result:
        return True
    if result["rejected"]:
        _reject(step)
        return True
    if result["step"] == CHECKING:
        step.operation.result = result | {"step": LISTING, "cursor": ""}
    for _ in range(step.limits.listed_pages):
        if not _list_page(step):
            _freeze(step)
            break
    return False


def close_dataset(tx: Records, operation: Operation) -> None:
    """The operation has ended; so does the dataset, in the same state."""
    found = _dataset(tx, operation)
    if found is not None:
        ended = replace(
            found,
            state=operation.state,
            counts=operation.result.get("counts", {}),
            error_reason=operation.error_reason,
            error_message=operation.error_message,
        )
        tx.datasets.save(ended)


def _dataset(tx: Records, operation: Operation) -> Dataset | None:
    """The record, unless it went with its catalogue or another making has its name."""
    try:
        found = tx.datasets.get(operation.request["dataset"])
    except NotFound:
        return None
    return found if found.build == operation.request["build"] else None


def _apply_rows(step: Step) -> bool:
    """Checked rows go on to be embedded by the live model: what the photos look like is needed."""
    shard = step.reported([Stage.INGEST], Stage.INGEST)
    if shard is None or shard.report is None:
        return False
    report, message = Report.from_json(shard.report), IngestShard.from_json(shard.message)
    if report.failure:
        step.fail(report.failure, report.failure_message)
        return True
    outcome = ShardIngested(**report.outcome)
    step.operation.counts.rows_read += outcome.rows_read
    if outcome.rejected or outcome.report_lines:
        lines = read_rejected(step.objects.get(message.rejected))
        _note(step, [each for each in lines if each.row_rejected or each.field == "images"])
    rows = step.accepted(message.accepted)
    _note(step, [_without_image(row) for row in rows if not row.sha256s])
    hashes = list({sha256 for row in rows for sha256 in row.sha256s})
    here = () if step.is_external() else step.targets[0].embedders
    missing = lacking(step.tx, here, hashes)
    shard.notes = {"accepted": message.accepted}
    shard.stage, shard.report = Stage.EMBED, step.empty_report()
    shard.state = ShardState.READY if any(missing.values()) else ShardState.REPORTED
    shard.message = embed_body(step, EmbedShard, shard.sequence, missing)
    step.tx.shards.save(shard)
    return True


def _apply_embedded(step: Step) -> bool:
    # Not before the rows of all earlier shards: pages have the order of the rows.
    if step.reported([Stage.INGEST, Stage.EMBED], Stage.EMBED) is None:
        return False
    return apply_filled(step, _take)


def _take(step: Step, shard: Shard) -> None:
    assert shard.report is not None
    outcome = shard.report["outcome"]
    shard.stage = Stage.DONE
    if shard.report["failure"]:
        step.fail(shard.report["failure"], shard.report["failure_message"])
    elif shard.message["task"] == EmbedShard.TASK:
        _list_queries(step, shard, dict(outcome["refused"]))
    else:
        counts = asdict(DatasetFrozen(**outcome))
        step.operation.result = step.operation.result | {"counts": counts}
        _log.info("dataset.frozen", dataset=step.operation.request["dataset"], **counts)


def _list_queries(step: Step, shard: Shard, refused: dict[str, str]) -> None:
    rows = step.accepted(shard.notes["accepted"])
    hashes = [sha256 for row in rows for sha256 in row.sha256s]
    lines = judge_rows(rows, step.tx.embeddings.refusals(list(set(hashes))) | refused)
    _note(step, lines)
    step.operation.counts.rows_accepted += len(rows) - sum(each.row_rejected for each in lines)
    write_drafts(step, _drafts(step), QUERIES, query_drafts(step, rows))


def _without_image(row: AcceptedRow) -> RejectedRow:
    return RejectedRow(row.row, "QUERY_HAS_NO_IMAGE", "images", "", row.fields["sku"])


def _note(step: Step, lines: Iterable[RejectedRow]) -> None:
    """Counts rejections; the first ones will be named."""
    found = list(lines)
    step.count(found)
    told = step.operation.result["rejected"]
    told += [_told(each) for each in found[: max(0, _NAMED - len(told))]]
    step.operation.result = step.operation.result | {"rejected": told}


def _told(line: RejectedRow) -> str:
    value = f" ({line.field} {line.value[:80]})" if line.value else ""
    return f"row {line.row}: {line.reason}{value}"


def _reject(step: Step) -> None:
    told: Sequence[str] = step.operation.result["rejected"]
    count = sum(step.operation.counts.rejected_by_reason.values())
    more = f" and {count - len(told)} more" if count > len(told) else ""
    step.fail(
        "QUERIES_REJECTED",
        f"{count} queries cannot be used: {'; '.join(told)}{more}; correct or remove these rows "
        "and make the dataset again",
    )


def _list_page(step: Step) -> bool:
    """Lists the images of the next products; False when there are none."""
    result = step.operation.result
    products = step.tx.imports.next_products(
        step.operation.catalog, result["cursor"], step.limits.listed_products
    )
    if not products:
        return False
    write_drafts(step, _drafts(step), GALLERY, gallery_drafts(step, products))
    step.operation.result = step.operation.result | {"cursor": products[-1]}
    return True


def _freeze(step: Step) -> None:
    operation, sequence = step.operation, step.tx.shards.next_sequence(step.operation.id)
    request = operation.request
    message = FreezeDataset(
        id=f"{operation.id}/{sequence}/freeze/0",
        operation=operation.id,
        revision=operation.revision,
        drafts=_drafts(step),
        dataset=keys.dataset_prefix(request["dataset"], request["build"]),
        allow_absent=request["allow_absent"],
    )
    body = step.body(message)
    step.tx.shards.add([Shard(operation.id, sequence, Stage.EMBED, ShardState.READY, body)])
    operation.result = operation.result | {"step": FREEZING}


def _drafts(step: Step) -> str:
    return f"{keys.working_prefix(step.operation.id)}drafts/"
