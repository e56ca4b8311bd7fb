"""Searches of a Qdrant server: of one vector, of many, and in groups."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from services.core.adapters.qdrant_vectors import wire
from services.core.adapters.qdrant_vectors.batches import batches
from services.core.adapters.qdrant_vectors.collections import Collections, check_vector
from services.core.adapters.qdrant_vectors.connection import Connection
from services.core.adapters.qdrant_vectors.filters import with_parent, without_parent
from services.core.adapters.qdrant_vectors.requests import Wanted
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import DeadlineExceeded, InvalidArgument, NotFound
from services.core.domain.filters import SearchFilter
from services.core.domain.ranking import GroupBy
from services.core.ports import Float32, PointGroup, ScoredPoint

_HIT_BYTES = 256  # of a reply, about


class Searches:
    """The reading half of the adapter. `timeout` None is the connection's."""

    def __init__(
        self, connection: Connection, collections: Collections, oversampling: float | None
    ) -> None:
        self._connection = connection
        self._collections = collections
        self._oversampling = oversampling
        self._points = q.PointsStub(connection.channel)  # type: ignore[no-untyped-call]

    def one(
        self,
        collection: str,
        vector: Float32,
        limit: int,
        where: SearchFilter | None,
        catalog: str | None,
        threshold: float | None,
        timeout: float | None,
        with_vectors: bool = False,
    ) -> list[ScoredPoint]:
        remaining = _Remaining(f"searching {collection}", timeout)
        wanted = self._wanted(collection, [vector], where, catalog, threshold, remaining)
        if wanted is None or limit <= 0:
            return []
        request = wanted.query(vector, limit, with_vectors)
        reply = self._reply(self._points.Query, request, remaining)
        return [] if reply is None else _hits(reply.result, wanted.sign)

    def many(
        self,
        collection: str,
        vectors: Sequence[Float32],
        limit: int,
        where: SearchFilter | None,
        catalog: str | None,
        threshold: float | None,
        timeout: float | None,
    ) -> list[list[ScoredPoint]]:
        remaining = _Remaining(f"searching {collection}", timeout)
        wanted = self._wanted(collection, vectors, where, catalog, threshold, remaining)
        if wanted is None or limit <= 0:
            return [[] for _ in vectors]
        queries = [wanted.query(each, limit) for each in vectors]
        found: list[list[ScoredPoint]] = []
        for batch in batches(queries, lambda each: each.ByteSize() + limit * _HIT_BYTES):
            request = q.QueryBatchPoints(collection_name=collection, query_points=batch)
            reply = self._reply(self._points.QueryBatch, request, remaining)
            if reply is None:
                return [[] for _ in vectors]
            found += [_hits(each.result, wanted.sign) for each in reply.result]
        return found

    def groups(
        self,
        collection: str,
        vector: Float32,
        by: GroupBy,
        groups: int,
        per_group: int,
        where: SearchFilter | None,
        catalog: str | None,
        threshold: float | None,
        timeout: float | None,
    ) -> list[PointGroup]:
        remaining = _Remaining(f"searching {collection}", timeout)
        wanted = self._wanted(collection, [vector], where, catalog, threshold, remaining)
        if wanted is None or groups <= 0 or per_group <= 0:
            return []
        # A product without a parent is a group of its own, which takes a second call.
        calls: list[tuple[GroupBy, q.Filter | None]] = [(GroupBy.PRODUCT, None)]
        if by is GroupBy.PARENT:
            calls = [(GroupBy.PARENT, with_parent()), (GroupBy.PRODUCT, without_parent())]
        found: list[PointGroup] = []
        for field, also in calls:
            request = wanted.groups(vector, field.value, groups, per_group, also)
            reply = self._reply(self._points.QueryGroups, request, remaining)
            if reply is None:
                return []
            found += [
                PointGroup(field, each.id.string_value, tuple(_hits(each.hits, wanted.sign)))
                for each in reply.result.groups
            ]
        found.sort(key=lambda each: each.hits[0].score, reverse=True)
        return found[:groups]

    def _wanted(
        self,
        collection: str,
        vectors: Sequence[Float32],
        where: SearchFilter | None,
        catalog: str | None,
        threshold: float | None,
        remaining: "_Remaining",
    ) -> Wanted | None:
        spec = self._collections.spec(collection, remaining.seconds())
        if spec is None:
            return None
        if spec.shared and catalog is None:
            raise InvalidArgument(
                f"collection {collection} is shared by catalogues: name one to search in",
                reason="CATALOG_MISSING",
            )
        for each in vectors:
            check_vector(each, spec)
        return Wanted(spec, where, catalog, threshold, self._oversampling)

    def _reply(self, method: Any, request: Any, remaining: "_Remaining") -> Any:
        """None when the collection was dropped."""
        try:
            return self._connection.call(method, request, remaining.seconds())
        except NotFound:
            self._collections.forget(request.collection_name)
            return None


class _Remaining:
    """What is left of a timeout that several calls share."""

    def __init__(self, doing: str, timeout: float | None) -> None:
        self._doing = doing
        self._end = None if timeout is None else time.monotonic() + timeout

    def seconds(self) -> float | None:
        """Raises DeadlineExceeded when nothing is left; gRPC may still answer such a call."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"{self._doing}: the deadline has passed")
        return left


def _hits(hits: Iterable[q.ScoredPoint], sign: float) -> list[ScoredPoint]:
    return [
        ScoredPoint(
            hit.id.uuid,
            sign * hit.score,
            wire.payload_from(hit.payload),
            wire.output_vector(hit.vectors) if hit.HasField("vectors") else None,
        )
        for hit in hits
    ]
