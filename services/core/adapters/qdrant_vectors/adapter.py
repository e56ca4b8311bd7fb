"""VectorStore over the gRPC API of a Qdrant server, 1.17 or newer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from services.core.adapters.qdrant_vectors import wire
from services.core.adapters.qdrant_vectors.aliases import Aliases
from services.core.adapters.qdrant_vectors.batches import BATCH, batches, readable
from services.core.adapters.qdrant_vectors.collections import Collections, check_vector
from services.core.adapters.qdrant_vectors.connection import MAX_MESSAGE, Connection
from services.core.adapters.qdrant_vectors.filters import not_newer_than, of_catalog
from services.core.adapters.qdrant_vectors.options import CollectionOptions
from services.core.adapters.qdrant_vectors.searches import Searches
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import InvalidArgument, NotFound, Unavailable
from services.core.domain.filters import SearchFilter
from services.core.domain.ranking import GroupBy
from services.core.ports import (
    CollectionSpec,
    Float32,
    PayloadChange,
    Point,
    PointGroup,
    ScoredPoint,
    VectorStore,
)

_EVERYTHING = q.WithPayloadSelector(enable=True)
_VECTORS = q.WithVectorsSelector(enable=True)
_REPLY_BYTES = MAX_MESSAGE // 2  # of vectors in the reply to a search; more are read in batches


class QdrantVectors(VectorStore):
    """Points in Qdrant collections, one unnamed vector each. Safe to call from many threads.

    Payloads of hits hold requests.HIT_FIELDS only.
    `timeout` in seconds bounds every call that gets none of its own; a server that is away is
    waited for `retry_seconds`, within that. `options` are for new collections, where their specs do
    not overrule them. `oversampling`: how many times `limit` the search of a quantized collection
    finds before the best are scored exactly; None is twice. `ca_file`: see Connection.
    Opens its connection with the first call, not here.

    Raises FailedPrecondition (CA_FILE_UNREADABLE).
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        grpc_port: int = 6334,
        *,
        api_key: str | None = None,
        tls: bool = False,
        ca_file: Path | None = None,
        timeout: float = 30.0,
        retry_seconds: float = 2.0,
        options: CollectionOptions | None = None,
        oversampling: float | None = None,
    ) -> None:
        self._connection = Connection(
            host,
            grpc_port,
            api_key=api_key,
            tls=tls,
            ca_file=ca_file,
            timeout=timeout,
            retry_seconds=retry_seconds,
        )
        self._points = q.PointsStub(self._connection.channel)  # type: ignore[no-untyped-call]
        self._collections = Collections(self._connection, options or CollectionOptions())
        self._searches = Searches(self._connection, self._collections, oversampling)
        self._aliases = Aliases(self._connection)

    def close(self) -> None:
        """Ends the connection; the object cannot be used afterwards."""
        self._connection.channel.close()

    def ensure_collection(self, spec: CollectionSpec) -> None:
        self._collections.ensure(spec)

    def drop_collection(self, name: str) -> None:
        self._collections.drop(name)

    def drop_catalog(self, collection: str, catalog: str) -> None:
        self._write_if_known(collection, [_deletion(of_catalog(catalog))])

    def options(self, collection: str) -> CollectionOptions | None:
        """What the server says that the collection was made with; None where there is none."""
        return self._collections.options(collection)

    def point_alias(self, alias: str, collection: str) -> None:
        self._aliases.point(alias, collection)

    def aliases(self) -> dict[str, str]:
        return self._aliases.all()

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        spec = self._collections.spec(collection)
        if spec is None:
            raise NotFound(f"collection {collection}", reason="COLLECTION_NOT_FOUND")
        for point in points:
            check_vector(point.vector, spec)
        # Ascending, so that of one id in two revisions the newer stays.
        ordered = sorted(points, key=_revision)
        structs = [(_revision(each), wire.point_struct(each)) for each in ordered]
        for batch in batches(structs, lambda each: each[1].ByteSize()):
            runs = groupby(batch, key=itemgetter(0))
            self._write(collection, [_upsert(revision, run) for revision, run in runs])

    def set_payloads(self, collection: str, changes: Sequence[PayloadChange]) -> None:
        operations = [_overwrite(each) for each in changes]
        for batch in batches(operations, q.PointsUpdateOperation.ByteSize):
            self._write_if_known(collection, batch)

    def delete(self, collection: str, ids: Sequence[str], revision: int) -> None:
        for start in range(0, len(ids), BATCH):
            guard = not_newer_than(revision, ids[start : start + BATCH])
            self._write_if_known(collection, [_deletion(guard)])

    def search(
        self,
        collection: str,
        vector: Float32,
        *,
        limit: int,
        where: SearchFilter | None = None,
        catalog: str | None = None,
        score_threshold: float | None = None,
        timeout: float | None = None,
        with_vectors: bool = False,
    ) -> list[ScoredPoint]:
        in_reply = with_vectors and 4 * vector.size * limit <= _REPLY_BYTES
        hits = self._searches.one(
            collection, vector, limit, where, catalog, score_threshold, timeout, in_reply
        )
        if in_reply or not with_vectors:
            return hits
        stored = self.fetch(collection, [each.id for each in hits])
        # One that is gone meanwhile was no hit.
        return [replace(each, vector=stored[each.id].vector) for each in hits if each.id in stored]

    def search_batch(
        self,
        collection: str,
        vectors: Sequence[Float32],
        *,
        limit: int,
        where: SearchFilter | None = None,
        catalog: str | None = None,
        score_threshold: float | None = None,
        timeout: float | None = None,
    ) -> list[list[ScoredPoint]]:
        return self._searches.many(
            collection, vectors, limit, where, catalog, score_threshold, timeout
        )

    def search_groups(
        self,
        collection: str,
        vector: Float32,
        *,
        group_by: GroupBy,
        groups: int,
        per_group: int,
        where: SearchFilter | None = None,
        catalog: str | None = None,
        score_threshold: float | None = None,
        timeout: float | None = None,
    ) -> list[PointGroup]:
        return self._searches.groups(
            collection,
            vector,
            group_by,
            groups,
            per_group,
            where,
            catalog,
            score_threshold,
            timeout,
        )

    def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Point]:
        found: dict[str, Point] = {}
        spec = self._collections.spec(collection)
        step = 1 if spec is None else readable(spec.dimension)
        for start in range(0, 0 if spec is None else len(ids), step):
            request = q.GetPoints(
                collection_name=collection,
                ids=wire.point_ids(ids[start : start + step]),
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

    def count(self, collection: str, catalog: str | None = None) -> int:
        try:
            request = q.CountPoints(
                collection_name=collection,
                exact=True,
                filter=None if catalog is None else of_catalog(catalog),
            )
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


def _upsert(revision: int, run: Iterator[tuple[int, q.PointStruct]]) -> q.PointsUpdateOperation:
    return q.PointsUpdateOperation(
        upsert=q.PointsUpdateOperation.PointStructList(
            points=map(itemgetter(1), run), update_filter=not_newer_than(revision)
        )
    )


def _deletion(where: q.Filter) -> q.PointsUpdateOperation:
    points = q.PointsSelector(filter=where)
    return q.PointsUpdateOperation(
        delete_points=q.PointsUpdateOperation.DeletePoints(points=points)
    )


def _overwrite(change: PayloadChange) -> q.PointsUpdateOperation:
    guard = not_newer_than(int(change.payload["revision"]), change.ids)
    return q.PointsUpdateOperation(
        overwrite_payload=q.PointsUpdateOperation.OverwritePayload(
            payload=wire.payload_arguments(change.payload),
            points_selector=q.PointsSelector(filter=guard),
        )
    )
