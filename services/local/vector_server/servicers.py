"""The gRPC edge: the calls of Qdrant's API that the adapter makes. All others: UNIMPLEMENTED."""

# ruff: noqa: N802 (methods are called like the calls)

import logging
from collections.abc import Callable
from typing import NoReturn, TypeVar

import grpc

from services.core.adapters.qdrant_vectors.stubs import q
from services.local.vector_server import groups, reads
from services.local.vector_server.descriptions import description, wanted
from services.local.vector_server.refusals import Refused
from services.local.vector_server.store import Store

log = logging.getLogger(__name__)
Reply = TypeVar("Reply")


class Points(q.PointsServicer):
    """Writes are acknowledged when they are searchable and safe, whatever `wait` says."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def Query(self, request: q.QueryPoints, context: grpc.ServicerContext) -> q.QueryResponse:
        return _answer(
            context, lambda: reads.query(self._store.get(request.collection_name), request)
        )

    def QueryBatch(
        self, request: q.QueryBatchPoints, context: grpc.ServicerContext
    ) -> q.QueryBatchResponse:
        return _answer(
            context, lambda: reads.query_batch(self._store.get(request.collection_name), request)
        )

    def QueryGroups(
        self, request: q.QueryPointGroups, context: grpc.ServicerContext
    ) -> q.QueryGroupsResponse:
        return _answer(
            context, lambda: groups.query_groups(self._store.get(request.collection_name), request)
        )

    def Get(self, request: q.GetPoints, context: grpc.ServicerContext) -> q.GetResponse:
        return _answer(
            context, lambda: reads.get(self._store.get(request.collection_name), request)
        )

    def Count(self, request: q.CountPoints, context: grpc.ServicerContext) -> q.CountResponse:
        return _answer(
            context, lambda: reads.count(self._store.get(request.collection_name), request)
        )

    def UpdateBatch(
        self, request: q.UpdateBatchPoints, context: grpc.ServicerContext
    ) -> q.UpdateBatchResponse:
        _answer(context, lambda: self._store.get(request.collection_name).write(request))
        done = q.UpdateResult(status=q.UpdateStatus.Completed)
        return q.UpdateBatchResponse(result=[done] * len(request.operations))

    def CreateFieldIndex(
        self, request: q.CreateFieldIndexCollection, context: grpc.ServicerContext
    ) -> q.PointsOperationResponse:
        _answer(context, lambda: self._store.get(request.collection_name).write(request))
        return q.PointsOperationResponse(result=q.UpdateResult(status=q.UpdateStatus.Completed))


class Collections(q.CollectionsServicer):
    """Collections with one unnamed dense vector."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def Get(
        self, request: q.GetCollectionInfoRequest, context: grpc.ServicerContext
    ) -> q.GetCollectionInfoResponse:
        return _answer(context, lambda: description(self._store.get(request.collection_name)))

    def Create(
        self, request: q.CreateCollection, context: grpc.ServicerContext
    ) -> q.CollectionOperationResponse:
        _answer(context, lambda: self._store.create(*wanted(request)))
        return q.CollectionOperationResponse(result=True)

    def Delete(
        self, request: q.DeleteCollection, context: grpc.ServicerContext
    ) -> q.CollectionOperationResponse:
        dropped = _answer(context, lambda: self._store.drop(request.collection_name))
        return q.CollectionOperationResponse(result=dropped)

    def UpdateAliases(
        self, request: q.ChangeAliases, context: grpc.ServicerContext
    ) -> q.CollectionOperationResponse:
        _answer(context, lambda: self._store.change_aliases(request.actions))
        return q.CollectionOperationResponse(result=True)

    def ListAliases(
        self, request: q.ListAliasesRequest, context: grpc.ServicerContext
    ) -> q.ListAliasesResponse:
        found = _answer(context, self._store.aliases).items()
        aliases = [q.AliasDescription(alias_name=a, collection_name=c) for a, c in found]
        return q.ListAliasesResponse(aliases=aliases)


class Health(q.QdrantServicer):
    """Answers when the server serves."""

    def HealthCheck(
        self, request: q.HealthCheckRequest, context: grpc.ServicerContext
    ) -> q.HealthCheckReply:
        return q.HealthCheckReply(title="shelflens vector server", version="1.17.0")


def _answer(context: grpc.ServicerContext, make: Callable[[], Reply]) -> Reply:
    if not context.is_active():  # the caller's deadline passed while the call was queued
        _abort(context, grpc.StatusCode.DEADLINE_EXCEEDED, "too late when it was its turn")
    try:
        return make()
    except Refused as refusal:
        _abort(context, refusal.code, refusal.details)
    except Exception as error:
        log.exception("a call failed")
        _abort(context, grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode, details: str) -> NoReturn:
    context.abort(code, details)
    raise AssertionError("abort raises")
