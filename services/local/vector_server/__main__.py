"""Composition root of the vector server process."""

import logging
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import ShelflensError, Unavailable
from services.core.runtime.child_process import die_with_parent, report_ready
from services.core.runtime.logs import configure_logs
from services.local.vector_server import servicers
from services.local.vector_server.settings import Settings, read_settings
from services.local.vector_server.store import Store
from services.local.vector_server.upkeep import Upkeep

log = logging.getLogger(__name__)

_THREADS = 8
_GRACE_SECONDS = 2.0
_TURN_SECONDS = 0.2
# A query waits for the GIL while a batch is decoded; the default of 5 ms would be most of its time.
_SWITCH_SECONDS = 0.0005
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # a second server on the same port shall fail, not share
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
]


def main() -> int:
    settings = read_settings(sys.argv[1:])
    die_with_parent(settings.parent)
    configure_logs()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        _serve(settings)
    except ShelflensError as error:
        log.error("%s", error.message)
        return 1
    return 0


def _serve(settings: Settings) -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    store = Store(settings.data)
    server = grpc.server(ThreadPoolExecutor(_THREADS, "call"), options=_OPTIONS)
    q.add_PointsServicer_to_server(servicers.Points(store), server)  # type: ignore[no-untyped-call]
    q.add_CollectionsServicer_to_server(servicers.Collections(store), server)  # type: ignore[no-untyped-call]
    q.add_QdrantServicer_to_server(servicers.Health(), server)  # type: ignore[no-untyped-call]
    port = _bind(server, settings.port)
    server.start()
    upkeep = Upkeep(store, settings)
    upkeep.start()
    report_ready(settings.ready_fd, str(port))
    # In turns: a signal that the kernel gives to another thread does not end a wait for good.
    while not stopping.wait(_TURN_SECONDS):
        pass
    # Not for ever: gRPC may wait for a call whose client has long given up.
    server.stop(_GRACE_SECONDS).wait(_GRACE_SECONDS + 0.5)
    upkeep.stop()
    store.close()


def _bind(server: grpc.Server, port: int) -> int:
    try:
        return server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError as error:
        raise Unavailable(f"port {port} is taken: {error}", reason="PORT_TAKEN") from error


if __name__ == "__main__":
    sys.exit(main())
