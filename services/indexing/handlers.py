"""What the indexing worker does with its messages."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, TypeVar

from services.core.domain.errors import InvalidArgument
from services.core.messages import DropCollection, IndexShard, VerifyCollection
from services.core.outcomes import CollectionVerified, ShardIndexed
from services.core.ports import CollectionSpec, ObjectStore, PayloadChange, Point, VectorStore
from services.core.shard_files import PlannedPoint, read_plan
from services.indexing.plan_vectors import BATCH, PlanVectors
from services.indexing.verifying import Verifier
from services.retrieval.linear_store import LinearStore

_ACTIONS = ("upsert", "payload", "delete")
_STORAGE = {"quantization": str, "on_disk": bool}
T = TypeVar("T")


class Indexer:
    """Applies index plans to the vector storage. Every call may be repeated: the storage keeps
    the newest revision of a point whatever the order of its writes."""

    def __init__(self, objects: ObjectStore, vectors: VectorStore) -> None:
        self._objects = objects
        self._vectors = vectors
        self._linears = LinearStore(objects)

    def index_shard(self, message: IndexShard) -> ShardIndexed:
        """Returns when all points of the plan are searchable, or gone.

        Raises NotFound when the plan or a file that it or the model names is missing, DataLoss when
        one is damaged, FailedPrecondition (COLLECTION_DIFFERS), InvalidArgument (UNKNOWN_ACTION,
        UNKNOWN_STORAGE_OPTION, PLAN_DIFFERS, DIMENSION_MISMATCH).
        """
        plan = self._plan(message.plan)
        spec = _collection(message)
        vectors = PlanVectors(self._objects, self._linears, message.model)
        self._vectors.ensure_collection(spec)
        also = {"catalog": message.tenant} if message.tenant else {}
        # Deletes last: one that is newer than an upsert of the same plan must find its point.
        for batch, rows in vectors.batches([each for each in plan if each.action == "upsert"]):
            points = [
                Point(each.point_id, row, _payload(each, also))
                for each, row in zip(batch, rows, strict=True)
            ]
            self._vectors.upsert(spec.name, points)
        self._change(spec.name, [each for each in plan if each.action == "payload"], also)
        self._delete(spec.name, [each for each in plan if each.action == "delete"])
        return ShardIndexed(points=len(plan))

    def verify(self, message: VerifyCollection) -> CollectionVerified:
        """Compares a collection with the plan of its probes. An unknown one misses them all.

        Raises as `index_shard` for the plan, the model and their files.
        """
        planned = [each for each in self._plan(message.probes) if each.action == "upsert"]
        vectors = PlanVectors(self._objects, self._linears, message.model)
        verifier = Verifier(self._vectors, message.collection, message.tenant or None)
        for batch, rows in vectors.batches(planned):
            verifier.look_up([each.point_id for each in batch], rows)
        return verifier.outcome()

    def drop(self, message: DropCollection) -> None:
        """Removes the collection, or a tenant's points from a shared one; they may be gone."""
        if message.tenant:
            self._vectors.drop_catalog(message.collection, message.tenant)
        else:
            self._vectors.drop_collection(message.collection)

    def _plan(self, key: str) -> list[PlannedPoint]:
        plan = read_plan(self._objects.get(key))
        unknown = {each.action for each in plan}.difference(_ACTIONS)
        if unknown:
            raise InvalidArgument(
                f"plan {key} has unknown actions: {', '.join(sorted(unknown))}",
                reason="UNKNOWN_ACTION",
            )
        return plan

    def _change(
        self, collection: str, planned: list[PlannedPoint], also: Mapping[str, object]
    ) -> None:
        for batch in _batches(iter(planned)):
            changes = [PayloadChange((each.point_id,), _payload(each, also)) for each in batch]
            self._vectors.set_payloads(collection, changes)

    def _delete(self, collection: str, planned: list[PlannedPoint]) -> None:
        planned.sort(key=lambda each: each.revision)
        for revision, rows in groupby(planned, key=lambda each: each.revision):
            for batch in _batches(rows):
                self._vectors.delete(collection, [each.point_id for each in batch], revision)


def _collection(message: IndexShard) -> CollectionSpec:
    options: dict[str, Any] = dict(message.storage)
    for name, value in options.items():
        if not isinstance(value, _STORAGE.get(name, ())):
            raise InvalidArgument.field(
                "storage",
                f"{name}={value!r} is not known: use quantization (text) and on_disk (true, false)",
                reason="UNKNOWN_STORAGE_OPTION",
            )
    return CollectionSpec(
        message.collection, message.dimension, message.distance, bool(message.tenant), **options
    )


def _payload(planned: PlannedPoint, also: Mapping[str, object]) -> dict[str, object]:
    return {**planned.payload, **also, "revision": planned.revision}


def _batches(items: Iterator[T]) -> Iterator[Sequence[T]]:
    while batch := list(islice(items, BATCH)):
        yield batch
