"""A cut manifest becomes shards to ingest."""

from dataclasses import replace
from typing import Any

from services.coordinator.step import Step
from services.core.domain import keys
from services.core.domain.operations import OperationState
from services.core.messages import IngestManifest, IngestShard
from services.core.outcomes import ManifestCut
from services.core.work_ports import Shard, ShardState, Stage


def apply_manifest(step: Step) -> bool:
    shard = step.reported([Stage.MANIFEST], Stage.MANIFEST)
    if shard is None or shard.report is None:
        return False
    if shard.report["failure"]:
        step.operation.error_reason = shard.report["failure"]
        step.operation.error_message = shard.report["failure_message"]
        step.operation.state = OperationState.CANCELLING
        step.drop_unapplied()
        return True
    cut = ManifestCut(**shard.report["outcome"])
    message = IngestManifest.from_json(shard.message)
    first = step.tx.shards.next_sequence(step.operation.id)
    step.tx.shards.add(
        [
            _ingest_shard(step, first + position, message.manifest, *bounds)
            for position, bounds in enumerate(cut.shards)
        ]
    )
    rows = message.rows_before + cut.rows
    if cut.finished:
        step.operation.total_rows = rows
        shard.stage = Stage.DONE
    else:
        shard.state = ShardState.READY
        shard.message = step.body(
            replace(
                message,
                id=f"{step.operation.id}/-1/manifest/{cut.cursor}",
                cursor=cut.cursor,
                rows_before=rows,
            )
        )
    shard.report = None
    step.tx.shards.save(shard)
    return True


def _ingest_shard(
    step: Step, sequence: int, manifest: str, offset: int, length: int, first_row: int, rows: int
) -> Shard:
    operation = step.operation
    carried: dict[str, Any] = {}
    if step.rules.embeddings_model:
        deployment = step.tx.catalogs.deployment(operation.catalog)
        carried = {
            "model_digest": deployment.model_digest,
            "dimension": deployment.dimension,
            "distance": deployment.distance,
            "embeddings": keys.carried_key(operation.id, sequence),
        }
    message = IngestShard(
        id=f"{operation.id}/{sequence}/ingest/0",
        operation=operation.id,
        revision=operation.revision,
        sequence=sequence,
        manifest=manifest,
        offset=offset,
        length=length,
        first_row=first_row,
        rows=rows,
        accepted=keys.accepted_key(operation.id, sequence),
        rejected=keys.rejected_key(operation.id, sequence),
        validate_only=step.rules.validate_only,
        by_reference=step.rules.by_reference,
        **carried,
    )
    return Shard(operation.id, sequence, Stage.INGEST, ShardState.READY, step.body(message))
