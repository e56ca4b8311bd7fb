"""What the indexing worker does with its messages."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import TypeVar

from services.core.domain.errors import DataLoss, InvalidArgument
from services.core.messages import DropCollection, IndexShard, ShardIndexed
from services.core.ports import CollectionSpec, ObjectStore, PayloadChange, Point, VectorStore
from services.core.shard_files import Embeddings, PlannedPoint, read_embeddings, read_plan

BATCH = 256
_ACTIONS = ("upsert", "payload", "delete")
T = TypeVar("T")


class Indexer:
    """Applies index plans to the vector storage. Every call may be repeated: the storage keeps
    the newest revision of a point whatever the order of its writes."""

    def __init__(self, objects: ObjectStore, vectors: VectorStore) -> None:
        self._objects = objects
        self._vectors = vectors

    def index_shard(self, message: IndexShard) -> ShardIndexed:
        """Returns when all points of the plan are searchable, or gone.

        Raises NotFound when the plan or a file that it names is missing, DataLoss when one is
        damaged, FailedPrecondition (COLLECTION_DIFFERS), InvalidArgument (UNKNOWN_ACTION,
        DIMENSION_MISMATCH).
        """
        plan = read_plan(self._objects.get(message.plan))
        unknown = {each.action for each in plan}.difference(_ACTIONS)
        if unknown:
            raise InvalidArgument(
                f"plan {message.plan} has unknown actions: {', '.join(sorted(unknown))}",
                reason="UNKNOWN_ACTION",
            )
        spec = CollectionSpec(message.collection, message.dimension, message.distance)
        self._vectors.ensure_collection(spec)
        # Deletes last: one that is newer than an upsert of the same plan must find its point.
        self._upsert(message.collection, [each for each in plan if each.action == "upsert"])
        self._change(message.collection, [each for each in plan if each.action == "payload"])
        self._delete(message.collection, [each for each in plan if each.action == "delete"])
        return ShardIndexed(points=len(plan))

    def drop(self, message: DropCollection) -> None:
        """Removes the collection; it may be gone already."""
        self._vectors.drop_collection(message.collection)

    def _upsert(self, collection: str, planned: list[PlannedPoint]) -> None:
        # File by file, so that one is in memory at a time.
        planned.sort(key=lambda each: (each.embeddings, each.embedding_row))
        for key, rows in groupby(planned, key=lambda each: each.embeddings):
            embeddings = read_embeddings(self._objects.get(key))
            for batch in _batches(rows):
                points = [_point(each, key, embeddings) for each in batch]
                self._vectors.upsert(collection, points)

    def _change(self, collection: str, planned: list[PlannedPoint]) -> None:
        for batch in _batches(iter(planned)):
            changes = [PayloadChange((each.point_id,), _payload(each)) for each in batch]
            self._vectors.set_payloads(collection, changes)

    def _delete(self, collection: str, planned: list[PlannedPoint]) -> None:
        planned.sort(key=lambda each: each.revision)
        for revision, rows in groupby(planned, key=lambda each: each.revision):
            for batch in _batches(rows):
                self._vectors.delete(collection, [each.point_id for each in batch], revision)


def _point(planned: PlannedPoint, key: str, embeddings: Embeddings) -> Point:
    rows = embeddings.embeddings
    if not 0 <= planned.embedding_row < len(rows):
        raise DataLoss(
            f"embeddings file {key} has {len(rows)} rows, the plan wants {planned.embedding_row}",
            reason="EMBEDDINGS_INCOMPLETE",
        )
    return Point(planned.point_id, rows[planned.embedding_row], _payload(planned))


def _payload(planned: PlannedPoint) -> dict[str, object]:
    return {**planned.payload, "revision": planned.revision}


def _batches(items: Iterator[T]) -> Iterator[Sequence[T]]:
    while batch := list(islice(items, BATCH)):
        yield batch
