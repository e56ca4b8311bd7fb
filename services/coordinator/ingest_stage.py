"""Checked rows become products and images; what has no embedding yet goes on to be embedded."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.coordinator.carried_embeddings import take_embeddings, without_embedding
from services.coordinator.preview import preview
from services.coordinator.pruning import note_rejected_rows
from services.coordinator.step import Step, embed_body
from services.coordinator.verdicts import superseded_rows
from services.core.domain import names
from services.core.messages import EmbedShard, IngestShard
from services.core.outcomes import ShardIngested
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
        shard.notes |= {"products": [], "accepted": message.accepted}
        _to_embed_stage(step, shard, {})
        return True
    outcome = ShardIngested(**shard.report["outcome"])
    counts.rows_read += outcome.rows_read
    if outcome.rejected or outcome.report_lines:
        rejected = read_rejected(step.objects.get(message.rejected))
        step.count(rejected)
        shard.notes["rejected"] = [message.rejected]
        note_rejected_rows(step, rejected)
    rows = step.accepted(message.accepted)
    if step.rules.validate_only:
        preview(step, shard, rows, frozenset(outcome.embedded))
    else:
        shard.notes["accepted"] = message.accepted
        missing = _merge(step, shard, rows, message, outcome)
        if missing is not None:
            _to_embed_stage(step, shard, missing)
        else:
            shard.stage, shard.report = Stage.DONE, None
            step.tx.shards.save(shard)
    return True


def _merge(
    step: Step,
    shard: Shard,
    rows: Sequence[AcceptedRow],
    message: IngestShard,
    outcome: ShardIngested,
) -> dict[str, set[str]] | None:
    """Merges the rows into the records; returns digest -> images that have to be embedded.

    None: every row says what it said last time, and nothing is left to do for any.
    """
    operation, counts = step.operation, step.operation.counts
    if step.rules.fold_duplicates:  # whoever changes that is to be merged
        rows = [replace(row, digest=f"{row.digest}f") for row in rows]
    same = _same_rows(step, rows)
    others = [row for at, row in enumerate(rows) if at not in same]
    merged = step.tx.imports.merge_rows(operation.catalog, others, operation.revision, step.now)
    counts.products_created += merged.created
    counts.products_updated += merged.updated
    counts.products_unchanged += merged.unchanged + len(same)
    counts.rows_accepted += len(same)
    step.reject(shard, superseded_rows(merged), "merge")
    gone = {row.row for row in (*merged.superseded, *merged.missing)}
    shard.notes |= {"products": merged.products, "gone": sorted(gone), "same": sorted(same)}
    take_embeddings(step, message, outcome, [row for row in others if row.row not in gone])
    hashes = [sha for row in rows if row.row not in gone for sha in row.sha256s]
    fresh = {sha for row in others if row.row not in gone for sha in row.sha256s}
    claimed = step.tx.embeddings.claim(operation.id, hashes)
    if not others:
        counts.images_reused += len(claimed)
        return None
    new = [sha for sha in claimed if sha in fresh]
    lacking = without_embedding(step, sorted(fresh))
    if lacking:
        # Now, in the order of the rows: a later row may bring the embedding of such a picture.
        shard.notes["lacking"] = lacking
        step.tx.imports.refuse_images(operation.catalog, lacking)
        new = [sha for sha in new if sha not in lacking]
    missing = step.to_embed(new)
    refused = step.tx.embeddings.refusals(new)
    step.tx.embeddings.settle(operation.id, refused)
    counts.images_reused += sum(sha not in lacking for sha in claimed) - len(missing) - len(refused)
    return step.missing(new)


def _same_rows(step: Step, rows: Sequence[AcceptedRow]) -> set[int]:
    """Places of the rows that say what the only row of their product said last time."""
    places: dict[str, int | None] = {}
    for at, row in enumerate(rows):
        product = names.product_id(row.fields["sku"])
        places[product] = None if product in places else at
    alone = {product: at for product, at in places.items() if at is not None and rows[at].digest}
    digests = {product: rows[at].digest for product, at in alone.items()}
    operation = step.operation
    same = step.tx.imports.note_same(operation.catalog, digests, operation.revision)
    return {alone[product] for product in same}


def _to_embed_stage(step: Step, shard: Shard, missing: Mapping[str, set[str]]) -> None:
    shard.stage, shard.report = Stage.EMBED, step.empty_report()
    shard.state = ShardState.READY if any(missing.values()) else ShardState.REPORTED
    shard.message = embed_body(step, EmbedShard, shard.sequence, missing)
    step.tx.shards.save(shard)
