"""Embedded images are noted, rows are judged, and the products are planned for the index."""

from services.coordinator.duplicates import keep_out
from services.coordinator.lapses import KEEPS_FAILING
from services.coordinator.planning import make_plan
from services.coordinator.step import Step
from services.coordinator.verdicts import judge_rows
from services.core.domain.operations import OperationKind
from services.core.messages import EmbedShard, ShardEmbedded
from services.core.work_ports import Shard, ShardState, Stage

# Refusals that another try of the same bytes may not meet.
PASSING = frozenset(
    {
        "IMAGE_MISSING",
        "DIGEST_MISMATCH",
        "IMAGE_DECODE_TIMEOUT",
        "IMAGE_DECODE_CRASHED",
        "RETRIES_EXHAUSTED",
        KEEPS_FAILING,
    }
)


def apply_embed(step: Step) -> bool:
    shard = step.reported([Stage.INGEST, Stage.EMBED], Stage.EMBED)
    if shard is None or shard.report is None:
        return False
    refused = _note_embeddings(step, shard)
    if "accepted" in shard.notes:
        _judge(step, shard)
    else:
        step.tx.imports.refuse_images(step.operation.catalog, refused)
    keep_out(step, shard.notes["products"])
    message = make_plan(
        step.tx,
        step.objects,
        step.operation.catalog,
        shard.notes["products"],
        step.operation.id,
        shard.sequence,
    )
    shard.report = None
    if message is None:
        shard.stage = Stage.DONE
    else:
        shard.stage, shard.state = Stage.INDEX, ShardState.READY
        shard.message = step.body(message)
    step.tx.shards.save(shard)
    return True


def _note_embeddings(step: Step, shard: Shard) -> dict[str, str]:
    """Records the embeddings file; returns hash -> reason of what has no embedding."""
    assert shard.report is not None
    message = EmbedShard.from_json(shard.message)
    if shard.report["failure"]:
        refused = dict.fromkeys(message.sha256s, str(shard.report["failure"]))
    else:
        outcome = ShardEmbedded(**shard.report["outcome"])
        step.tx.embeddings.add(
            message.model_digest, message.embeddings, outcome.sha256s, outcome.picture_hashes
        )
        step.operation.counts.images_embedded += len(outcome.sha256s)
        refused = dict(outcome.refused)
    lasting = {sha: reason for sha, reason in refused.items() if reason not in PASSING}
    if not shard.report["failure"]:
        step.tx.embeddings.refuse(lasting)
    step.tx.embeddings.settle(step.operation.id, refused)
    if step.operation.kind is OperationKind.CHANGE:
        refused |= step.tx.embeddings.refusals(step.operation.request.get("embed", []))
    return refused


def _judge(step: Step, shard: Shard) -> None:
    """Every row of the shard becomes accepted or rejected: all its images are decided now."""
    if shard.notes.get("failed"):
        return
    gone, same = (set(shard.notes.get(name, [])) for name in ("gone", "same"))
    rows = [
        row
        for at, row in enumerate(step.accepted(shard.notes["accepted"]))
        if at not in same and row.row not in gone
    ]
    hashes = list({sha for row in rows for sha in row.sha256s})
    refused = step.tx.embeddings.settled(step.operation.id, hashes)
    step.tx.imports.refuse_images(step.operation.catalog, refused)
    rejections = judge_rows(rows, refused | shard.notes.get("lacking", {}))
    step.reject(shard, rejections, "embed")
    step.operation.counts.rows_accepted += len(rows) - sum(each.row_rejected for each in rejections)
