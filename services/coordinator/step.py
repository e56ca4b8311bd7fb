"""One transaction's work on one operation: what every stage needs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

from services.coordinator.planning import make_plans
from services.coordinator.settings import CoordinatorLimits
from services.coordinator.targets import Target, lacking, targets
from services.core.domain import keys
from services.core.domain.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound
from services.core.domain.import_rules import ImportRules
from services.core.domain.operations import Operation, OperationKind, OperationState
from services.core.messages import DropCollection, EmbedShard, Message
from services.core.ports import ObjectStore
from services.core.record_ports import Records
from services.core.shard_files import AcceptedRow, RejectedRow, read_accepted, write_rejected
from services.core.work_ports import Shard, ShardState, Stage

# Operations that embed for other models than the live one, and refuse no image.
FILLING = (
    OperationKind.DEPLOY,
    OperationKind.CREATE_MODEL,
    OperationKind.CREATE_DATASET,
    OperationKind.EVALUATE,
)
_PARTS = 2  # rounds of embedding for a target beside the live one, before it goes without


class Step:
    """One transaction's work on one operation."""

    def __init__(
        self,
        tx: Records,
        objects: ObjectStore,
        operation: Operation,
        now: datetime,
        limits: CoordinatorLimits,
    ) -> None:
        self.tx = tx
        self.objects = objects
        self.operation = operation
        self.rules = ImportRules.of(operation.request)
        self.now = now
        self.limits = limits
        self._accepted: tuple[str, list[AcceptedRow]] = ("", [])

    def accepted(self, key: str) -> list[AcceptedRow]:
        """The rows of a shard, which one step often needs for two stages."""
        if self._accepted[0] != key:
            self._accepted = (key, read_accepted(self.objects.get(key)))
        return self._accepted[1]

    def drop_unapplied(self) -> None:
        """After a cancel: rows that are not in the records yet stay out; the others go through."""
        self.tx.shards.drop(self.operation.id, Stage.MANIFEST)
        self.tx.shards.drop(self.operation.id, Stage.INGEST)
        if self.operation.kind in FILLING:
            self.tx.shards.drop(self.operation.id, Stage.EMBED)

    def fail(self, reason: str, message: str) -> None:
        """Ends the operation with this reason, as after a cancel; the first one stays."""
        if not self.operation.error_reason:
            self.operation.error_reason, self.operation.error_message = reason, message
        self.operation.state = OperationState.CANCELLING
        self.drop_unapplied()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """What the block finds missing, damaged or refused fails the operation."""
        try:
            yield
        except (InvalidArgument, NotFound, FailedPrecondition, DataLoss) as error:
            self.fail(error.reason, error.message)

    def is_over(self) -> bool:
        """Whether it was cancelled, or has failed: no more work is to be given out."""
        cancelling = self.operation.state is OperationState.CANCELLING
        return cancelling or bool(self.operation.error_reason)

    def body(self, message: Message) -> dict[str, Any]:
        """The outbox form of a message."""
        return message.to_json() | {"task": message.TASK}

    def empty_report(self) -> dict[str, Any]:
        """What a worker would report about a shard with nothing to embed."""
        return {"outcome": {"sha256s": [], "refused": []}, "failure": ""}

    @cached_property
    def targets(self) -> list[Target]:
        """What the catalogue's writes must reach, the live one first."""
        return targets(self.tx, self.operation.catalog)

    def is_external(self) -> bool:
        """Whether embeddings of the live model come with imports alone."""
        return self.targets[0].model is None

    def to_embed(self, hashes: Sequence[str]) -> list[str]:
        """Those that the live model has not embedded whole, and not known to be unusable."""
        missing = lacking(self.tx, self.targets[0].embedders, hashes)
        return [each for each in hashes if any(each in those for those in missing.values())]

    def missing(self, hashes: Sequence[str]) -> dict[str, set[str]]:
        """Digest -> images that it has still to embed, for all targets that embed here."""
        here = [each for each in self.targets if each.model is not None]
        embedders = dict.fromkeys(digest for each in here for digest in each.embedders)
        return lacking(self.tx, list(embedders), hashes)

    def plan(self, products: Sequence[str]) -> bool:
        """Adds a shard that indexes whatever is unplanned of these products."""
        shard = Shard(
            self.operation.id,
            self.tx.shards.next_sequence(self.operation.id),
            Stage.EMBED,
            ShardState.REPORTED,
            {},
            notes={"products": list(products)},
        )
        planned = plan_shard(self, shard)
        if planned:
            self.tx.shards.add([shard])
        return planned

    def reported(self, stages: Sequence[Stage], wanted: Stage) -> Shard | None:
        """The lowest shard in these stages, if it is in the wanted one and reported."""
        shard = self.tx.shards.first(self.operation.id, stages)
        turn = shard is not None and shard.stage is wanted and shard.state is ShardState.REPORTED
        return shard if turn else None

    def reject(self, shard: Shard, rows: Sequence[RejectedRow], stage: str) -> None:
        """Keeps rejections for the report, and counts them."""
        if not rows:
            return
        key = keys.rejected_key(self.operation.id, shard.sequence, stage)
        self.objects.put(key, write_rejected(rows))
        shard.notes["rejected"] = [*shard.notes.get("rejected", []), key]
        if stage == "failed":
            shard.notes["failed"] = True
        self.count(rows)

    def count(self, rows: Iterable[RejectedRow]) -> None:
        """Counts rejections."""
        counts = self.operation.counts
        for row in rows:
            counts.rejected_by_reason[row.reason] += 1
            counts.rows_rejected += row.row_rejected
            counts.images_refused += row.field == "images"


def embed_body(
    step: Step,
    kind: type[EmbedShard],
    sequence: int,
    missing: Mapping[str, set[str]],
    part: int = 0,
) -> dict[str, Any]:
    """The outbox form of an embedding message: digest -> images. `part` tells the messages of one
    shard apart."""
    operation = step.operation
    hashes = sorted(set().union(*missing.values()))
    at = {sha256: place for place, sha256 in enumerate(hashes)}
    wanted = {digest: those for digest, those in missing.items() if those}
    return step.body(
        kind(
            id=f"{operation.id}/{sequence}/embed/{part}",
            operation=operation.id,
            revision=operation.revision,
            sequence=sequence,
            sha256s=tuple(hashes),
            embedders=tuple(wanted),
            embeddings=tuple(
                keys.embeddings_key(digest, operation.id, sequence, part) for digest in wanted
            ),
            wanted=tuple(
                () if len(those) == len(hashes) else tuple(sorted(at[each] for each in those))
                for those in wanted.values()
            ),
        )
    )


def drop_body(step: Step, sequence: int, collection: str, tenant: str) -> dict[str, Any]:
    """The outbox form of the removal of a collection, or of what a tenant has in it."""
    return step.body(
        DropCollection(
            id=f"{step.operation.id}/{sequence}/drop/0",
            operation=step.operation.id,
            revision=step.operation.revision,
            sequence=sequence,
            collection=collection,
            tenant=tenant,
        )
    )


def plan_shard(step: Step, shard: Shard) -> bool:
    """Moves a shard on to the index, or back to be embedded where a target beside the live one
    lacks embeddings of its products. False: there is nothing to plan."""
    products, part = shard.notes["products"], shard.notes.get("part", 0)
    shard.report = None
    if len(step.targets) > 1 and part < _PARTS:
        entries = step.tx.imports.unplanned(step.operation.catalog, products)
        missing = step.missing(list({each.sha256 for each in entries if not each.deleted}))
        live = step.targets[0].embedders
        if any(those for digest, those in missing.items() if digest not in live):
            shard.notes["part"] = part + 1
            shard.stage, shard.state = Stage.EMBED, ShardState.READY
            shard.message = embed_body(step, EmbedShard, shard.sequence, missing, part + 1)
            return True
    plans = make_plans(
        step.tx, step.objects, step.targets, products, step.operation.id, shard.sequence
    )
    if not plans:
        return False
    first, *others = (step.body(each) for each in plans)
    shard.stage, shard.state, shard.message = Stage.INDEX, ShardState.READY, first
    shard.notes["plans"] = others
    return True
