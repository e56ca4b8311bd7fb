"""Embedded images are noted, rows are judged, and the products are planned for the index."""

from collections.abc import Sequence

from services.coordinator.duplicates import keep_out
from services.coordinator.lapses import KEEPS_FAILING
from services.coordinator.step import FILLING, Step, plan_shard
from services.coordinator.verdicts import judge_rows
from services.core.domain.operations import OperationKind
from services.core.messages import EmbedShard
from services.core.outcomes import ShardEmbedded
from services.core.work_ports import Shard, Stage

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
    refused = note_embeddings(step, shard)
    if "part" not in shard.notes:
        if "accepted" in shard.notes:
            _judge(step, shard)
        else:
            step.tx.imports.refuse_images(step.operation.catalog, refused)
        keep_out(step, shard.notes["products"])
    if not plan_shard(step, shard):
        shard.stage = Stage.DONE
    step.tx.shards.save(shard)
    return True


def note_embeddings(step: Step, shard: Shard) -> dict[str, str]:
    """Records the embeddings files; returns hash -> reason of what the live model cannot embed."""
    assert shard.report is not None
    message = EmbedShard.from_json(shard.message)
    if shard.report["failure"]:
        refused = dict.fromkeys(message.sha256s, str(shard.report["failure"]))
    else:
        outcome = ShardEmbedded(**shard.report["outcome"])
        _add(step, message, outcome)
        refused = dict(outcome.refused)
        lasting = {sha: reason for sha, reason in refused.items() if reason not in PASSING}
        step.tx.embeddings.refuse(lasting)
    if refused and step.operation.kind in FILLING:
        return refused
    if refused:  # by another model than the live one, perhaps
        unusable = set(lacking_whole(step, list(refused)))
        refused = {sha: reason for sha, reason in refused.items() if sha in unusable}
    step.tx.embeddings.settle(step.operation.id, refused)
    if step.operation.kind is OperationKind.CHANGE:
        refused |= step.tx.embeddings.refusals(step.operation.request.get("embed", []))
    return refused


def _add(step: Step, message: EmbedShard, outcome: ShardEmbedded) -> None:
    prints = dict(zip(outcome.sha256s, outcome.picture_hashes, strict=False))
    for at, (digest, key) in enumerate(zip(message.embedders, message.embeddings, strict=True)):
        places = message.wanted[at] if message.wanted and message.wanted[at] else None
        asked = message.sha256s if places is None else [message.sha256s[each] for each in places]
        accepted = set(outcome.sha256s)
        rows = [each for each in asked if each in accepted]
        known = [prints[each] for each in rows] if prints else ()
        step.tx.embeddings.add(digest, key, rows, known)
    step.operation.counts.images_embedded += len(outcome.sha256s)


def lacking_whole(step: Step, hashes: Sequence[str]) -> list[str]:
    """Those that some member of the live model has not embedded."""
    whole = set(hashes)
    for digest in step.targets[0].embedders:
        whole &= step.tx.embeddings.known(digest, hashes)
    return sorted(set(hashes) - whole)


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
