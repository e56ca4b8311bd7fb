"""The gRPC server that every service with an API starts."""

import asyncio
from collections.abc import Callable, Mapping

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.core.domain.errors import FailedPrecondition
from services.core.runtime.grpc_errors import ErrorInterceptor

MAX_RECEIVE_BYTES = 8 << 20
AddService = Callable[[grpc.aio.Server], None]


class GrpcServer:
    """A grpc.aio server with error mapping, the standard health service and reflection.

    `services` maps full names (`shelflens.v1.SearchService`) to functions that add their servicer.
    `address` is host:port; port 0 picks one. `max_connection_age` in seconds makes clients look up
    the servers again, which a balanced deployment needs; None keeps connections.
    Made within the event loop that serves. Raises FailedPrecondition (ADDRESS_UNUSABLE).
    """

    def __init__(
        self,
        address: str,
        services: Mapping[str, AddService],
        *,
        max_concurrent_rpcs: int = 256,
        max_connection_age: float | None = None,
    ) -> None:
        self._server = grpc.aio.server(
            interceptors=[ErrorInterceptor()],
            options=_options(max_connection_age),
            maximum_concurrent_rpcs=max_concurrent_rpcs,
        )
        self._health = health.aio.HealthServicer()
        self._services = tuple(services)
        for add in services.values():
            add(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self.port = _bind(self._server, address)

    async def start(self) -> None:
        """Serves; health is SERVING for the server and every service."""
        await self._server.start()
        for name in self._services:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def set_serving(self, name: str, serving: bool) -> None:
        """Changes the health of a service, or of the whole server where `name` is empty."""
        status = health_pb2.HealthCheckResponse
        await self._health.set(name, status.SERVING if serving else status.NOT_SERVING)

    async def stop(self, grace: float, drain: float = 0.0) -> None:
        """Says NOT_SERVING, serves for `drain` more seconds while balancers notice, then stops.

        Running calls have `grace` seconds to end.
        """
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(drain)
        await self._server.stop(grace)

    async def wait(self) -> None:
        """Returns when the server has stopped."""
        await self._server.wait_for_termination()


def _options(max_connection_age: float | None) -> list[tuple[str, int]]:
    options = [
        ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Clients may ping as often, also between calls, without being cut off for it.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        # Without this a second server on the port would silently take half of the calls.
        ("grpc.so_reuseport", 0),
    ]
    if max_connection_age is not None:
        options.append(("grpc.max_connection_age_ms", int(max_connection_age * 1000)))
        options.append(("grpc.max_connection_age_grace_ms", 30_000))
    return options


def _bind(server: grpc.aio.Server, address: str) -> int:
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise FailedPrecondition(
            f"cannot listen on {address}: {error}; is the port in use?", reason="ADDRESS_UNUSABLE"
        ) from error
    if port == 0:
        raise FailedPrecondition(
            f"cannot listen on {address}; is the port in use?", reason="ADDRESS_UNUSABLE"
        )
    return port
