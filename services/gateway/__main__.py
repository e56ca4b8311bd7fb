"""The gateway process: the gRPC API, until SIGTERM."""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack, ExitStack

import structlog

from services.core.adapters.query_embedder import QueueEmbedder
from services.core.adapters.system_clock import SystemClock
from services.core.runtime.connections.broker import open_queue, query_queue
from services.core.runtime.connections.objects import open_objects
from services.core.runtime.connections.records import open_records
from services.core.runtime.connections.vectors import open_vectors
from services.core.runtime.grpc_server import GrpcServer
from services.core.runtime.startup import run_service
from services.gateway.service import Gateway, Ports
from services.gateway.settings import GatewayLimits, GatewaySettings

_log = structlog.get_logger(__name__)


def main() -> int:
    return run_service(GatewaySettings, lambda settings: asyncio.run(_serve(settings)))


async def _serve(settings: GatewaySettings) -> int:
    async with AsyncExitStack() as opened:
        servers = opened.enter_context(ExitStack())
        ports = await asyncio.to_thread(_open, settings, servers)
        stop = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, stop.set)
        limits = GatewayLimits(share_collections=settings.share_collections)
        gateway = Gateway(ports, limits)
        opened.push_async_callback(gateway.close)
        server = GrpcServer(
            f"{settings.host}:{settings.port}",
            gateway.services(),
            max_connection_age=settings.max_connection_age or None,
        )
        await server.start()
        _log.info("serve.ready", address=f"{settings.host}:{server.port}")
        await stop.wait()
        _log.info("serve.stopping")
        await server.stop(settings.grace_seconds, settings.drain_seconds)
    return 0


def _open(settings: GatewaySettings, opened: ExitStack) -> Ports:
    """Waits for the servers; a signal ends the process meanwhile."""
    records = open_records(settings, "gateway")
    opened.callback(records.close)
    objects = open_objects(settings)
    vectors = open_vectors(settings)
    opened.callback(vectors.close)
    queue = open_queue(settings)
    opened.callback(queue.close)
    broker = settings.broker_url.get_secret_value()
    embedder = QueueEmbedder(broker, query_queue(settings), objects)
    opened.callback(embedder.close)
    return Ports(records, objects, vectors, queue, embedder, SystemClock())


if __name__ == "__main__":
    sys.exit(main())
