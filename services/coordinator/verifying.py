"""Whether a new collection holds what it should, before searches are sent to it."""

from datetime import datetime, timedelta

import structlog

from services.coordinator import planning
from services.coordinator.step import Step
from services.coordinator.targets import Target
from services.core.domain.operations import OperationState
from services.core.messages import Report, VerifyCollection
from services.core.outcomes import CollectionVerified
from services.core.work_ports import Shard, ShardState, Stage

_PROBES = 64
_TRIES = 10
_PAUSE = 3.0  # seconds between two tries
_log = structlog.get_logger(__name__)


def verify(step: Step, new: Target) -> None:
    """Adds a shard that counts the collection and looks up some of its points."""
    operation, tx = step.operation, step.tx
    after = operation.result.get("verify_after")
    if after and step.now < datetime.fromisoformat(after):
        return
    sequence = tx.shards.next_sequence(operation.id)
    probes = _probes(step)
    entries = tx.imports.present(operation.catalog, sorted({product for product, _ in probes}))
    entries = [each for each in entries if (each.product.id, each.sha256) in probes]
    found = planning.places(tx, new, entries)
    points = [planning.upsert(new, each, 0, found) for each in entries if each.sha256 in found]
    plan = planning.write(step.objects, new, points, 0, operation.id, sequence)
    message = VerifyCollection(
        id=f"{operation.id}/{sequence}/verify/0",
        operation=operation.id,
        revision=operation.revision,
        collection=new.deployment.collection,
        tenant=new.deployment.tenant,
        model=plan.model,
        probes=plan.plan,
    )
    body = step.body(message)
    tx.shards.add([Shard(operation.id, sequence, Stage.INDEX, ShardState.READY, body)])


def is_verified(step: Step) -> bool:
    return bool(step.operation.result.get("verified"))


def note_verified(step: Step, new: Target, report: Report) -> None:
    """What the records say by now is compared. While others write, the count may run ahead or
    behind for a moment: it is taken again, and in the end the deploy fails."""
    operation = step.operation
    outcome = CollectionVerified(**report.outcome)
    expected = step.tx.imports.present_count(operation.catalog)
    wrong = [*outcome.missing, *outcome.different, *outcome.unfound]
    off = abs(outcome.points - expected)
    if not wrong and off <= _under_way(step):
        operation.result = operation.result | {"verified": True, "image_count": outcome.points}
        return
    tries = operation.result.get("tries", 0) + 1
    told = {"tries": tries, "verify_after": (step.now + timedelta(seconds=_PAUSE)).isoformat()}
    operation.result = operation.result | told
    _log.warning(
        "deploy.differs", operation=operation.id, points=outcome.points, expected=expected,
        wrong=wrong[:5],
    )  # fmt: skip
    if tries < _TRIES:
        return
    operation.error_reason = "DEPLOY_INCOMPLETE"
    refused = ", ".join(f"{k[:12]} ({v})" for k, v in operation.result.get("refused", {}).items())
    operation.error_message = (
        f"the new collection holds {outcome.points} of {expected} images, and {len(wrong)} of "
        f"{outcome.probes} probes failed; {new.deployment.model} is not deployed"
        + (f"; images that it could not embed: {refused}" if refused else "")
    )


def _under_way(step: Step) -> int:
    """By how many images the count may be off, since others write at the same time."""
    others = [
        each
        for each in step.tx.operations.active()
        if each.catalog == step.operation.catalog and each.id != step.operation.id
        and each.state is not OperationState.QUEUED
    ]  # fmt: skip
    return sum(1 + 256 * step.tx.shards.unfinished(each.id) for each in others)


def _probes(step: Step) -> set[tuple[str, str]]:
    """An image of each of some shards, over the whole catalogue."""
    tx, operation = step.tx, step.operation
    found: list[tuple[str, str]] = []
    after = -1
    while page := tx.shards.page(operation.id, after, 500):
        after = page[-1].sequence
        found += [tuple(each.notes["probe"]) for each in page if "probe" in each.notes]
    pace = max(1, -(-len(found) // _PROBES))
    return set(found[::pace])
