"""Checked rows become products and images; what has no embedding yet goes on to be embedded."""

from collections.abc import Sequence

from services.coordinator.preview import preview
from services.coordinator.pruning import note_rejected_rows
from services.coordinator.step import Step, embed_body
from services.coordinator.verdicts import superseded_rows
from services.core.domain.import_rules import ImportRules
from services.core.messages import EmbedShard, IngestShard, ShardIngested
from services.core.shard_files import AcceptedRow, RejectedRow, read_rejected
from services.core.work_ports import Shard, ShardState, Stage


def apply_ingest(step: Step) -> bool:
    shard = step.reported([Stage.INGEST], Stage.INGEST)
    if shard is None or shard.report is None:
        return False
    message = IngestShard.from_json(shard.message)
    counts = step.operation.counts
    if shard.report["failure"]:
        counts.rows_read += message.rows
        lost = [
            RejectedRow(message.first_row + i, shard.report["failure"], "row", "")
            for i in range(message.rows)
        ]
        step.reject(shard, lost, "failed")
        note_rejected_rows(step, lost)
        shard.notes["products"] = []
        _to_embed_stage(step, shard, [])
        return True
    outcome = ShardIngested(**shard.report["outcome"])
    counts.rows_read += outcome.rows_read
    if outcome.rejected:
        rejected = read_rejected(step.objects.get(message.rejected))
        step.count(rejected)
        shard.notes["rejected"] = [message.rejected]
        note_rejected_rows(step, rejected)
    rows = step.accepted(message.accepted)
    if ImportRules.of(step.operation.request).validate_only:
        preview(step, shard, rows)
    else:
        _to_embed_stage(step, shard, _merge(step, shard, rows))
    return True


def _merge(step: Step, shard: Shard, rows: Sequence[AcceptedRow]) -> list[str]:
    """Merges the rows into the records; returns the hashes that have to be embedded."""
    operation, counts = step.operation, step.operation.counts
    merged = step.tx.imports.merge_rows(operation.catalog, rows, operation.revision, step.now)
    counts.products_created += merged.created
    counts.products_updated += merged.updated
    counts.products_unchanged += merged.unchanged
    step.reject(shard, superseded_rows(merged), "merge")
    gone = {row.row for row in (*merged.superseded, *merged.missing)}
    shard.notes |= {"products": merged.products, "gone": sorted(gone)}
    hashes = [sha for row in rows if row.row not in gone for sha in row.sha256s]
    new = step.tx.embeddings.claim(operation.id, hashes)
    missing = step.to_embed(new)
    refused = step.tx.embeddings.refusals(new)
    step.tx.embeddings.settle(operation.id, refused)
    counts.images_reused += len(new) - len(missing) - len(refused)
    return missing


def _to_embed_stage(step: Step, shard: Shard, missing: Sequence[str]) -> None:
    shard.stage, shard.report = Stage.EMBED, step.empty_report()
    shard.state = ShardState.READY if missing else ShardState.REPORTED
    shard.notes["accepted"] = shard.message["accepted"]
    shard.message = embed_body(step, EmbedShard, shard.sequence, missing)
    step.tx.shards.save(shard)
