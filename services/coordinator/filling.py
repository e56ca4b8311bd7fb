"""Goes through the images of a catalogue for another model than the live one.

A few products make a shard: what the model has not embedded yet is embedded, from the stored
images, and then the operation says what becomes of the shard. At most twice the window of shards
exists at a time, so a catalogue of any size takes the same room.
"""

from collections.abc import Callable, Sequence

import structlog

from services.coordinator.embed_stage import note_embeddings
from services.coordinator.step import Step, embed_body
from services.coordinator.targets import lacking
from services.core.messages import EmbedShard
from services.core.work_ports import Shard, ShardState, Stage

_PRODUCTS = 64
_TOLD = 20  # refused images that are named
_log = structlog.get_logger(__name__)


def fill(step: Step, embedders: Sequence[str]) -> None:
    """Adds shards while there is room; `is_filled` once every product has one."""
    operation, tx = step.operation, step.tx
    if is_filled(step):
        return
    cursor = operation.result.get("cursor", "")
    room = 2 * step.limits.window - tx.shards.unfinished(operation.id)
    sequence = tx.shards.next_sequence(operation.id)
    for number in range(sequence, sequence + max(0, room)):
        products = tx.imports.next_products(operation.catalog, cursor, _PRODUCTS)
        if not products:
            operation.result = operation.result | {"filled": True}
            break
        tx.shards.add([_shard(step, number, products, embedders)])
        cursor = products[-1]
    operation.result = operation.result | {"cursor": cursor}


def is_filled(step: Step) -> bool:
    """Whether every product that the catalogue had has had its shard."""
    return bool(step.operation.result.get("filled"))


def apply_filled(step: Step, then: Callable[[Step, Shard], None]) -> bool:
    """Notes the embeddings of the next shard and hands it on; False when it is nobody's turn."""
    shard = step.reported([Stage.EMBED], Stage.EMBED)
    if shard is None or shard.report is None:
        return False
    if shard.message["task"] == EmbedShard.TASK and (refused := note_embeddings(step, shard)):
        known = step.operation.result.get("refused", {})
        told = dict(list((known | refused).items())[:_TOLD])
        step.operation.counts.images_refused += len(refused)
        step.operation.result = step.operation.result | {"refused": told}
        _log.warning("filling.refused", operation=step.operation.id, images=len(refused))
    then(step, shard)
    shard.report = None
    step.tx.shards.save(shard)
    return True


def _shard(step: Step, sequence: int, products: list[str], embedders: Sequence[str]) -> Shard:
    present = step.tx.imports.present(step.operation.catalog, products)
    missing = lacking(step.tx, embedders, list({each.sha256 for each in present}))
    body = embed_body(step, EmbedShard, sequence, missing)
    shard = Shard(step.operation.id, sequence, Stage.EMBED, ShardState.READY, body)
    shard.notes = {"products": products}
    if not any(missing.values()):
        shard.state, shard.report = ShardState.REPORTED, step.empty_report()
    return shard
