"""Error mapping over a real grpc.aio server with a toy service of all four kinds of method."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from services.core.domain import errors
from services.core.runtime.grpc_errors import to_status
from services.core.runtime.grpc_server import GrpcServer

Failure = Callable[[], BaseException]
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Toy:
    """Answers twice the request, then fails where `failure` is set."""

    failure: Failure | None = None

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    def fail(self) -> None:
        if self.failure is not None:
            raise self.failure()

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        self.fail()
        return request * 2

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield request * 2
        self.fail()

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        answer = b"".join([each async for each in requests]) * 2
        self.fail()
        return answer

    async def stream_stream(
        self, requests: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each * 2
        self.fail()

    async def own_abort(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "mine")
        return b""

    async def slow(self, request: bytes, context: Any) -> bytes:
        self.begun.set()
        await asyncio.sleep(0.3)
        return b"done"

    def add(self, server: grpc.aio.Server) -> None:
        handlers = {
            kind: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(self, kind)) for kind in KINDS
        }
        for name in ("own_abort", "slow"):
            handlers[name] = grpc.unary_unary_rpc_method_handler(getattr(self, name))
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("toy.Toy", handlers),)
        )


async def call(channel: grpc.aio.Channel, kind: str) -> bytes:
    async def requests() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    method = getattr(channel, kind)(f"/toy.Toy/{kind}")
    calling = method(requests() if kind.startswith("stream") else b"ab")
    if kind.endswith("stream"):
        return b"".join([each async for each in calling])
    answer: bytes = await calling
    return answer


async def call_unary(channel: grpc.aio.Channel, name: str) -> bytes:
    method: Any = channel.unary_unary(f"/toy.Toy/{name}")
    answer: bytes = await method(b"")
    return answer


def with_server(
    use: Callable[[Toy, GrpcServer, grpc.aio.Channel], Coroutine[Any, Any, None]],
) -> None:
    async def run() -> None:
        toy = Toy()
        server = GrpcServer("127.0.0.1:0", {"toy.Toy": toy.add})
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                await use(toy, server, channel)
        finally:
            await server.stop(grace=0)

    asyncio.run(run())


async def failure_of(channel: grpc.aio.Channel, kind: str) -> tuple[grpc.aio.AioRpcError, Any]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, kind)
    return caught.value, rpc_status.from_call(caught.value)


def details(status: status_pb2.Status) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in status.details:
        for kind in ("ErrorInfo", "BadRequest", "RetryInfo"):
            unpacked = getattr(error_details_pb2, kind)()
            if each.Unpack(unpacked):
                found[kind] = unpacked
    return found


LEAVES: list[tuple[errors.ShelflensError, str]] = [
    (errors.InvalidArgument.field("sku", "is empty", reason="SKU_MISSING"), "INVALID_ARGUMENT"),
    (errors.InvalidImage("no picture"), "INVALID_ARGUMENT"),
    (errors.InvalidManifest("no rows"), "INVALID_ARGUMENT"),
    (errors.NotFound("gone", metadata={"key": "k"}), "NOT_FOUND"),
    (errors.AlreadyExists("taken"), "ALREADY_EXISTS"),
    (errors.FailedPrecondition("not yet"), "FAILED_PRECONDITION"),
    (errors.Aborted("lost"), "ABORTED"),
    (errors.ResourceExhausted("full"), "RESOURCE_EXHAUSTED"),
    (errors.Unavailable("down"), "UNAVAILABLE"),
    (errors.DeadlineExceeded("late"), "DEADLINE_EXCEEDED"),
    (errors.Cancelled("stopped"), "CANCELLED"),
    (errors.DataLoss("broken"), "DATA_LOSS"),
]


def test_every_leaf_of_the_error_tree_has_its_code_reason_and_details() -> None:
    def leaves(kind: type[errors.ShelflensError]) -> set[type[errors.ShelflensError]]:
        own = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
        return {kind}.union(*(leaves(each) for each in own))

    assert {type(error) for error, _ in LEAVES} == leaves(errors.ShelflensError) - {
        errors.ShelflensError
    }
    for error, code in LEAVES:
        status = to_status(error)
        assert status.code == code_pb2.Code.Value(code)
        found = details(status)
        assert found["ErrorInfo"].reason == error.reason
        assert found["ErrorInfo"].domain == "shelflens"
        assert dict(found["ErrorInfo"].metadata) == error.metadata
        assert ("RetryInfo" in found) == (code in ("RESOURCE_EXHAUSTED", "UNAVAILABLE"))
        assert ("BadRequest" in found) == ("field" in error.metadata)


def test_all_four_kinds_of_method_answer_and_map_errors() -> None:
    async def use(toy: Toy, server: GrpcServer, channel: grpc.aio.Channel) -> None:
        for kind in KINDS:
            toy.failure = None
            assert await call(channel, kind) in (b"abab", b"aabb")
            toy.failure = lambda: errors.InvalidArgument.field("sku", "is empty", reason="SKU")
            error, status = await failure_of(channel, kind)
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert error.details() == "sku: is empty"
            assert details(status)["ErrorInfo"].reason == "SKU"
            assert details(status)["BadRequest"].field_violations[0].field == "sku"

    with_server(use)


def test_an_unexpected_error_is_internal_and_tells_an_id_only() -> None:
    async def use(toy: Toy, server: GrpcServer, channel: grpc.aio.Channel) -> None:
        toy.failure = lambda: RuntimeError("password is 1234")
        for kind in KINDS:
            error, status = await failure_of(channel, kind)
            assert error.code() is grpc.StatusCode.INTERNAL
            info = details(status)["ErrorInfo"]
            assert info.reason == "INTERNAL"
            assert info.metadata["error_id"] in str(error.details())
            assert "1234" not in str(error) + str(status)

    with_server(use)


def test_long_texts_outside_ascii_still_reach_the_client() -> None:
    async def use(toy: Toy, server: GrpcServer, channel: grpc.aio.Channel) -> None:
        big = {f"key{i}" * 20: "🛒" * 5_000 for i in range(50)} | {"field": "é" * 4_000}
        toy.failure = lambda: errors.InvalidArgument("é🛒\udcff" * 5_000, metadata=big)
        error, status = await failure_of(channel, "unary_unary")
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert details(status)["ErrorInfo"].reason == "INVALID_ARGUMENT"

    with_server(use)


def test_a_handlers_own_abort_and_unknown_methods_pass_unchanged() -> None:
    async def use(toy: Toy, server: GrpcServer, channel: grpc.aio.Channel) -> None:
        for method, code in (("own_abort", "OUT_OF_RANGE"), ("nothing", "UNIMPLEMENTED")):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call_unary(channel, method)
            assert caught.value.code().name == code

    with_server(use)


def test_a_stub_method_that_nobody_implemented_is_unimplemented() -> None:
    async def run() -> None:
        def add(server: grpc.aio.Server) -> None:
            health_like = reflection_pb2_grpc.ServerReflectionServicer()
            handler: Any = grpc.stream_stream_rpc_method_handler(health_like.ServerReflectionInfo)
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler("toy.Bare", {"m": handler}),)
            )

        server = GrpcServer("127.0.0.1:0", {"toy.Bare": add})
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            method: Any = channel.stream_stream("/toy.Bare/m")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await method(iter([b""])).read()
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        await server.stop(grace=0)

    asyncio.run(run())


def test_health_and_reflection_name_every_service() -> None:
    async def use(toy: Toy, server: GrpcServer, channel: grpc.aio.Channel) -> None:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "toy.Toy"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        await server.set_serving("toy.Toy", False)
        answer = await health.Check(health_pb2.HealthCheckRequest(service="toy.Toy"))
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        async for answer in stub.ServerReflectionInfo(iter([asked])):
            listed = {each.name for each in answer.list_services_response.service}
        assert {"toy.Toy", "grpc.health.v1.Health"} <= listed

    with_server(use)


def test_a_stop_says_not_serving_and_lets_running_calls_end() -> None:
    async def use(toy: Toy, server: GrpcServer, channel: grpc.aio.Channel) -> None:
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        seen = [(await watching.read()).status]
        running = asyncio.ensure_future(call_unary(channel, "slow"))
        await toy.begun.wait()
        stopping = asyncio.ensure_future(server.stop(grace=5, drain=0.05))
        seen.append((await watching.read()).status)
        watching.cancel()
        assert await running == b"done"
        await stopping
        assert seen == [
            health_pb2.HealthCheckResponse.SERVING,
            health_pb2.HealthCheckResponse.NOT_SERVING,
        ]

    with_server(use)


def test_a_second_server_on_the_same_port_is_refused() -> None:
    async def use(toy: Toy, server: GrpcServer, channel: grpc.aio.Channel) -> None:
        with pytest.raises(errors.FailedPrecondition) as caught:
            GrpcServer(f"127.0.0.1:{server.port}", {})
        assert caught.value.reason == "ADDRESS_UNUSABLE"

    with_server(use)
