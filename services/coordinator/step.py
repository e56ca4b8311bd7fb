"""One transaction's work on one operation: what every stage needs."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from services.coordinator.planning import make_plan
from services.coordinator.settings import CoordinatorLimits
from services.core.domain import keys
from services.core.domain.external_model import is_external
from services.core.domain.import_rules import ImportRules
from services.core.domain.operations import Operation
from services.core.messages import EmbedShard, Message
from services.core.ports import ObjectStore
from services.core.record_ports import Records
from services.core.shard_files import AcceptedRow, RejectedRow, read_accepted, write_rejected
from services.core.work_ports import Shard, ShardState, Stage


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

    def body(self, message: Message) -> dict[str, Any]:
        """The outbox form of a message."""
        return message.to_json() | {"task": message.TASK}

    def empty_report(self) -> dict[str, Any]:
        """What a worker would report about a shard with nothing to embed."""
        return {"outcome": {"sha256s": [], "refused": []}, "failure": ""}

    def is_external(self) -> bool:
        """Whether embeddings of the live model come with imports alone."""
        digest = self.tx.catalogs.deployment(self.operation.catalog).model_digest
        return is_external(self.tx.models.spec(digest))

    def to_embed(self, hashes: Sequence[str]) -> list[str]:
        """Those without an embedding of the live model, and not known to be unusable."""
        deployment = self.tx.catalogs.deployment(self.operation.catalog)
        known = self.tx.embeddings.known(deployment.model_digest, hashes)
        refused = self.tx.embeddings.refusals([each for each in hashes if each not in known])
        return [each for each in hashes if each not in known and each not in refused]

    def plan(self, products: Sequence[str]) -> bool:
        """Adds a shard that indexes whatever is unplanned of these products."""
        sequence = self.tx.shards.next_sequence(self.operation.id)
        message = make_plan(
            self.tx, self.objects, self.operation.catalog, products, self.operation.id, sequence
        )
        if message is not None:
            shard = Shard(
                self.operation.id, sequence, Stage.INDEX, ShardState.READY, self.body(message)
            )
            self.tx.shards.add([shard])
        return message is not None

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
    step: Step, kind: type[EmbedShard], sequence: int, hashes: Sequence[str]
) -> dict[str, Any]:
    """The outbox form of an embedding message for these images and the live model."""
    operation = step.operation
    digest = step.tx.catalogs.deployment(operation.catalog).model_digest
    return step.body(
        kind(
            id=f"{operation.id}/{sequence}/embed/0",
            operation=operation.id,
            revision=operation.revision,
            sequence=sequence,
            model_digest=digest,
            sha256s=tuple(hashes),
            embeddings=keys.embeddings_key(digest, operation.id, sequence),
        )
    )
