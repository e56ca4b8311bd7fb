"""Dry runs: what a shard's rows would change, counted and noted, with nothing written."""

from collections.abc import Sequence
from dataclasses import asdict

from services.coordinator.carried_embeddings import without_embedding
from services.coordinator.step import Step
from services.coordinator.verdicts import judge_rows, superseded_rows
from services.core.record_ports import MergeOutcome
from services.core.shard_files import AcceptedRow
from services.core.work_ports import Shard, Stage


def preview(
    step: Step, shard: Shard, rows: Sequence[AcceptedRow], embedded: frozenset[str]
) -> None:
    """Ends the shard. Images that were never decoded count as usable.

    `embedded` are the images whose embedding the rows carry.
    """
    operation, counts = step.operation, step.operation.counts
    found = step.tx.feeds.preview(operation.catalog, operation.id, rows, operation.revision)
    counts.products_created += found.created
    counts.products_updated += found.updated
    counts.products_unchanged += found.unchanged
    counts.images_removed += found.images_removed
    step.reject(shard, superseded_rows(_outcome(found.superseded, found.missing)), "merge")
    gone = {row.row for row in (*found.superseded, *found.missing)}
    kept = [row for row in rows if row.row not in gone]
    hashes = step.tx.embeddings.claim(
        operation.id, [sha for row in kept for sha in row.sha256s if sha]
    )
    missing = [each for each in step.to_embed(hashes) if each not in embedded]
    refused = step.tx.embeddings.refusals(list({sha for row in kept for sha in row.sha256s}))
    listed = {sha for row in kept for sha in row.sha256s if sha} - embedded
    if lacking := without_embedding(step, sorted(listed)):
        refused |= lacking
        missing = [each for each in missing if each not in lacking]
    counts.images_embedded += len(missing)
    counts.images_reused += len(hashes) - len(missing) - sum(sha in refused for sha in hashes)
    rejections = judge_rows(kept, refused)
    step.reject(shard, rejections, "embed")
    counts.rows_accepted += len(kept) - sum(each.row_rejected for each in rejections)
    _keep_changes(step, [asdict(each) for each in found.changes])
    shard.stage, shard.report = Stage.DONE, None
    step.tx.shards.save(shard)


def _outcome(superseded: tuple[AcceptedRow, ...], missing: tuple[AcceptedRow, ...]) -> MergeOutcome:
    return MergeOutcome(0, 0, 0, (), superseded, missing, ())


def _keep_changes(step: Step, changes: Sequence[dict[str, object]]) -> None:
    operation = step.operation
    known = operation.result.get("changes", [])
    left = step.limits.reported_changes - len(known)
    if changes and left > 0:
        operation.result = operation.result | {"changes": [*known, *changes[:left]]}
