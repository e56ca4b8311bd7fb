"""The first shard of an operation, by its kind."""

from dataclasses import replace

from services.coordinator.creating import start_model
from services.coordinator.deploying import start_deploy
from services.coordinator.erasing import start_erasing
from services.coordinator.evaluating import start_evaluation
from services.coordinator.freezing import start_dataset
from services.coordinator.step import Step, drop_body, embed_body
from services.core.domain.operations import OperationKind, OperationState
from services.core.messages import EmbedSingle, IngestManifest
from services.core.work_ports import Shard, ShardState, Stage


def start(step: Step) -> None:
    """QUEUED becomes RUNNING, with its first shard."""
    match step.operation.kind:
        case OperationKind.IMPORT:
            _start_import(step)
        case OperationKind.CHANGE:
            _start_change(step)
        case OperationKind.DELETE_CATALOG | OperationKind.DROP_DEPLOYMENT:
            _start_deletion(step)
        case OperationKind.DEPLOY:
            start_deploy(step)
        case OperationKind.CREATE_MODEL:
            start_model(step)
        case OperationKind.ERASE_CONTENT:
            start_erasing(step)
        case OperationKind.CREATE_DATASET:
            start_dataset(step)
            _start_import(step)
        case OperationKind.EVALUATE:
            start_evaluation(step)
    if step.operation.state is OperationState.QUEUED:
        step.operation.state = OperationState.RUNNING


def _start_import(step: Step) -> None:
    operation = step.operation
    message = IngestManifest(
        id=f"{operation.id}/-1/manifest/0",
        operation=operation.id,
        revision=operation.revision,
        manifest=operation.request["manifest"],
    )
    body = step.body(message)
    step.tx.shards.add([Shard(operation.id, -1, Stage.MANIFEST, ShardState.READY, body)])


def _start_change(step: Step) -> None:
    """Embeds what is new (a single upload, on the queue of its own), then plans the products."""
    operation, tx = step.operation, step.tx
    hashes = operation.request.get("embed", [])
    missing = step.missing(hashes)
    body = embed_body(step, EmbedSingle, 0, missing)
    shard = Shard(operation.id, 0, Stage.EMBED, ShardState.READY, body)
    shard.notes = {"products": operation.request["products"]}
    if not any(missing.values()):
        shard = replace(shard, state=ShardState.REPORTED, report=step.empty_report())
    tx.shards.add([shard])


def _start_deletion(step: Step) -> None:
    drops = [
        drop_body(step, sequence, collection, tenant)
        for sequence, (collection, tenant) in enumerate(step.operation.request["collections"])
    ]
    step.tx.shards.add(
        [
            Shard(step.operation.id, sequence, Stage.INDEX, ShardState.READY, body)
            for sequence, body in enumerate(drops)
        ]
    )
