"""Errors of the domain as gRPC statuses with google.rpc details: the only place that maps them."""

import inspect
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from services.core.domain import errors

DOMAIN = "shelflens"
RETRY_SECONDS = 1
# HTTP/2 trailers hold about 8 KiB in all, and bytes outside ASCII count three times in them.
_MAX_MESSAGE, _MAX_ENTRIES, _MAX_VALUE = 800, 8, 200
_DETAILS = "grpc-status-details-bin"
_CODES: tuple[tuple[type[errors.ShelflensError], grpc.StatusCode], ...] = (
    (errors.InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.NotFound, grpc.StatusCode.NOT_FOUND),
    (errors.AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
    (errors.FailedPrecondition, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Aborted, grpc.StatusCode.ABORTED),
    (errors.ResourceExhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
    (errors.DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.Cancelled, grpc.StatusCode.CANCELLED),
    (errors.DataLoss, grpc.StatusCode.DATA_LOSS),
)
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}
_log = structlog.get_logger(__name__)


def to_status(error: Exception) -> status_pb2.Status:
    """The status of an error, for a call or for one item of a stream.

    Details: ErrorInfo(reason, domain `shelflens`, metadata); BadRequest for metadata `field`;
    RetryInfo where a repeat may help. Errors outside the tree become INTERNAL: the log gets them
    with an id, the client gets the id only.
    """
    code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
    if code is None or not isinstance(error, errors.ShelflensError):
        return _internal(error)
    message = _cut(error.message, _MAX_MESSAGE)
    entries = list(error.metadata.items())[:_MAX_ENTRIES]
    metadata = {_cut(key, 60): _cut(value, _MAX_VALUE) for key, value in entries}
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    ]
    if isinstance(error, errors.InvalidArgument) and "field" in error.metadata:
        request = error_details_pb2.BadRequest()
        request.field_violations.add(
            field=metadata.get("field", ""), description=message, reason=error.reason
        )
        details.append(request)
    if isinstance(error, (errors.ResourceExhausted, errors.Unavailable)):
        delay = Duration(seconds=RETRY_SECONDS)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return _status(code, message, details)


def _internal(error: Exception) -> status_pb2.Status:
    error_id = secrets.token_hex(8)
    _log.error("rpc.failed", error_id=error_id, exc_info=error)
    info = error_details_pb2.ErrorInfo(
        reason="INTERNAL", domain=DOMAIN, metadata={"error_id": error_id}
    )
    text = f"an error of the server: its log has it under {error_id}"
    return _status(grpc.StatusCode.INTERNAL, text, [info])


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=message)
    for each in details:
        status.details.add().Pack(each)
    return status


def _cut(text: str, limit: int) -> str:
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Ends every call with a status of to_status, and logs one line for it.

    Works for coroutines and asynchronous generators, which all handlers here are.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:  # an unknown method: gRPC answers UNIMPLEMENTED
            return handler
        make, behaviour = _parts(handler)
        wrapped = _wrap(behaviour, handler_call_details.method)
        return make(
            wrapped,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _parts(handler: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    match (handler.request_streaming, handler.response_streaming):
        case (False, False):
            return grpc.unary_unary_rpc_method_handler, handler.unary_unary
        case (False, True):
            return grpc.unary_stream_rpc_method_handler, handler.unary_stream
        case (True, False):
            return grpc.stream_unary_rpc_method_handler, handler.stream_unary
        case _:
            return grpc.stream_stream_rpc_method_handler, handler.stream_stream


def _wrap(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def call(request: Any, context: Any) -> Any:
        ending = _Ending(method, context)
        try:
            return ending.fine(await behaviour(request, context))
        except BaseException as error:
            await ending.failed(error)
            raise

    async def generate(request: Any, context: Any) -> AsyncIterator[Any]:
        ending = _Ending(method, context)
        try:
            async for each in behaviour(request, context):
                yield each
            ending.fine(None)
        except BaseException as error:
            await ending.failed(error)
            raise

    if inspect.isasyncgenfunction(behaviour):
        return generate
    if inspect.iscoroutinefunction(behaviour):
        return call
    return behaviour  # a method that nobody implemented: the stub answers UNIMPLEMENTED


class _Ending:
    """How one call ends: its status and its line in the log."""

    def __init__(self, method: str, context: Any) -> None:
        self._method = method
        self._context = context
        self._started = time.perf_counter()

    def fine(self, answer: Any) -> Any:
        self._line("debug", "OK")
        return answer

    async def failed(self, error: BaseException) -> None:
        """Aborts with the error's status; returns for endings that are no errors of ours."""
        if isinstance(error, grpc.aio.AbortError):  # a handler's own, or the health service's
            code = self._context.code()
            self._line("info", getattr(code, "name", str(code)))
        elif isinstance(error, Exception):
            status = to_status(error)
            code = _BY_NUMBER[status.code]
            self._line("info", code.name, error=status.message)
            details = ((_DETAILS, status.SerializeToString()),)
            await self._context.abort(code, status.message, details)
        else:  # the client went away or the server stops
            self._line("debug", "CANCELLED")

    def _line(self, level: str, code: str, **more: str) -> None:
        milliseconds = round((time.perf_counter() - self._started) * 1000, 3)
        getattr(_log, level)("rpc", method=self._method, code=code, ms=milliseconds, **more)
