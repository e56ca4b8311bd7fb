"""VectorStore over the gRPC API of a Qdrant server, 1.17 or newer."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from services.core.adapters.qdrant_vectors import wire
from services.core.adapters.qdrant_vectors.collections import Collections, check_vector
from services.core.adapters.qdrant_vectors.connection import Connection
from services.core.adapters.qdrant_vectors.filters import not_newer_than, search_conditions
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from services.core.domain.filters import SearchFilter
from services.core.ports import (
    CollectionSpec,
    Float32,
    PayloadChange,
    Point,
    ScoredPoint,
    VectorStore,
)

BATCH = 256  # points in one call: 1.3 MB at 1280 dimensions
# What a hit's payload holds: what grouping and the check against the records need. Each field of
# each hit costs 2 us in total, and a search has 5 ms; fetch() gives whole payloads.
HIT_FIELDS = ("product", "parent", "sha256")
_HIT_FIELDS = q.WithPayloadSelector(include=q.PayloadIncludeSelector(fields=HIT_FIELDS))
_EVERYTHING = q.WithPayloadSelector(enable=True)
_VECTORS = q.WithVectorsSelector(enable=True)


class QdrantVectors(VectorStore):
    """Points in Qdrant collections, one unnamed vector each. Safe to call from many threads.

    Payloads of hits hold HIT_FIELDS only.
    `timeout` in seconds bounds every call that gets none of its own. Opens its connection with
    the first call, not here.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        grpc_port: int = 6334,
        *,
        api_key: str | None = None,
        tls: bool = False,
        timeout: float = 30.0,
    ) -> None:
        self._connection = Connection(host, grpc_port, api_key=api_key, tls=tls, timeout=timeout)
        self._points = q.PointsStub(self._connection.channel)  # type: ignore[no-untyped-call]
        self._collections = Collections(self._connection)

    def close(self) -> None:
        """Ends the connection; the object cannot be used afterwards."""
        self._connection.channel.close()

    def ensure_collection(self, spec: CollectionSpec) -> None:
        self._collections.ensure(spec)

    def drop_collection(self, name: str) -> None:
        self._collections.drop(name)

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        spec = self._collections.spec(collection)
        if spec is None:
            raise NotFound(f"collection {collection}", reason="COLLECTION_NOT_FOUND")
        for point in points:
            check_vector(point.vector, spec)
        # Ascending, so that of one id in two revisions the newer stays.
        ordered = sorted(points, key=_revision)
        for start in range(0, len(ordered), BATCH):
            batch = groupby(ordered[start : start + BATCH], key=_revision)
            self._write(collection, [_upsert(revision, each) for revision, each in batch])

    def set_payloads(self, collection: str, changes: Sequence[PayloadChange]) -> None:
        for start in range(0, len(changes), BATCH):
            self._write_if_known(collection, map(_overwrite, changes[start : start + BATCH]))

    def delete(self, collection: str, ids: Sequence[str], revision: int) -> None:
        for start in range(0, len(ids), BATCH):
            guard = not_newer_than(revision, ids[start : start + BATCH])
            deletion = q.PointsUpdateOperation.DeletePoints(points=q.PointsSelector(filter=guard))
            operation = q.PointsUpdateOperation(delete_points=deletion)
            self._write_if_known(collection, [operation])

    def search(
        self,
        collection: str,
        vector: Float32,
        *,
        limit: int,
        where: SearchFilter | None = None,
        score_threshold: float | None = None,
        timeout: float | None = None,
    ) -> list[ScoredPoint]:
        if timeout is not None and timeout <= 0:  # gRPC may still answer such a call
            raise DeadlineExceeded(f"searching {collection}: the deadline has passed")
        spec = self._collections.spec(collection, timeout)
        if spec is None or limit <= 0:
            return []
        check_vector(vector, spec)
        # Qdrant answers euclidean and manhattan searches with distances, ours are negative.
        sign = 1.0 if spec.distance == "cosine" else -1.0
        request = q.QueryPoints(
            collection_name=collection,
            query=q.Query(nearest=q.VectorInput(dense=wire.dense_vector(vector))),
            filter=search_conditions(where) if where else None,
            score_threshold=None if score_threshold is None else sign * score_threshold,
            limit=limit,
            with_payload=_HIT_FIELDS,
        )
        try:
            reply = self._connection.call(self._points.Query, request, timeout)
        except NotFound:
            self._collections.forget(collection)
            return []
        return [
            ScoredPoint(hit.id.uuid, sign * hit.score, wire.payload_from(hit.payload))
            for hit in reply.result
        ]

    def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Point]:
        found: dict[str, Point] = {}
        for start in range(0, len(ids), BATCH):
            request = q.GetPoints(
                collection_name=collection,
                ids=wire.point_ids(ids[start : start + BATCH]),
                with_payload=_EVERYTHING,
                with_vectors=_VECTORS,
            )
            try:
                reply = self._connection.call(self._points.Get, request)
            except NotFound:
                return {}
            for each in reply.result:
                vector = wire.output_vector(each.vectors)
                payload = wire.payload_from(each.payload)
                found[each.id.uuid] = Point(each.id.uuid, vector, payload)
        return found

    def count(self, collection: str) -> int:
        try:
            request = q.CountPoints(collection_name=collection, exact=True)
            return int(self._connection.call(self._points.Count, request).result.count)
        except NotFound:
            return 0

    def _write(self, collection: str, operations: Iterable[q.PointsUpdateOperation]) -> None:
        request = q.UpdateBatchPoints(collection_name=collection, wait=True, operations=operations)
        try:
            reply = self._connection.call(self._points.UpdateBatch, request)
        except NotFound:
            self._collections.forget(collection)
            raise
        if any(each.status != q.UpdateStatus.Completed for each in reply.result):
            raise Unavailable(f"writing to {collection}: not applied yet", reason="WRITE_PENDING")

    def _write_if_known(
        self, collection: str, operations: Iterable[q.PointsUpdateOperation]
    ) -> None:
        try:
            self._write(collection, operations)
        except NotFound:
            return  # no collection, none of the points: unknown ids are skipped


def _revision(point: Point) -> int:
    revision = point.payload.get("revision")
    if not isinstance(revision, int):
        raise InvalidArgument.field("payload.revision", "is missing or no integer")
    return revision


def _upsert(revision: int, points: Iterator[Point]) -> q.PointsUpdateOperation:
    return q.PointsUpdateOperation(
        upsert=q.PointsUpdateOperation.PointStructList(
            points=map(wire.point_struct, points), update_filter=not_newer_than(revision)
        )
    )


def _overwrite(change: PayloadChange) -> q.PointsUpdateOperation:
    guard = not_newer_than(int(change.payload["revision"]), change.ids)
    return q.PointsUpdateOperation(
        overwrite_payload=q.PointsUpdateOperation.OverwritePayload(
            payload=wire.payload_arguments(change.payload),
            points_selector=q.PointsSelector(filter=guard),
        )
    )
