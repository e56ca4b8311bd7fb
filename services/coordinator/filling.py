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
        images = _next_images(step, cursor)
        if not images:
            operation.result = operation.result | {"filled": True}
            break
        tx.shards.add([_shard(step, number, images, embedders)])
        cursor = max(images)
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


def _next_images(step: Step, cursor: str) -> dict[str, list[str]]:
    """The hashes of the images of the next products, by product; of one at least."""
    catalog, imports = step.operation.catalog, step.tx.imports
    most = step.limits.filled_images
    products = imports.next_products(catalog, cursor, most)
    found: dict[str, list[str]] = {product: [] for product in products}
    for each in imports.present(catalog, products):
        found[each.product.id].append(each.sha256)
    taken: dict[str, list[str]] = {}
    for product in products:
        if sum(map(len, taken.values())) >= most:
            break
        taken[product] = found[product]
    return taken


def _shard(
    step: Step, sequence: int, images: dict[str, list[str]], embedders: Sequence[str]
) -> Shard:
    hashes = {sha256 for listed in images.values() for sha256 in listed}
    missing = lacking(step.tx, embedders, list(hashes))
    body = embed_body(step, EmbedShard, sequence, missing)
    shard = Shard(step.operation.id, sequence, Stage.EMBED, ShardState.READY, body)
    shard.notes = {"products": list(images)}
    if not any(missing.values()):
        shard.state, shard.report = ShardState.REPORTED, step.empty_report()
    return shard
