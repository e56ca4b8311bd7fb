"""The cluster profile on one machine: every server and every service as a process of its own."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from shelflens import Client
from tests.servers.ports import free_port
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMq
from tests.servers.s3 import RcloneS3
from tests.servers.service import Service
from tests.servers.vectors import VectorServerProcess

# What a service talks to, and where: a proxy between the two returns another port.
Reach = Callable[[str, str, int], int]

# Name -> module and arguments. More workers of a kind get a number behind the name.
SERVICES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "gateway": ("gateway", ()),
    "coordinator": ("coordinator", ()),
    "ingestion": ("ingestion", ()),
    "embedding-bulk": ("embedding", ("--queue", "bulk")),
    "embedding-query": ("embedding", ("--queue", "query")),
    "indexing": ("indexing", ()),
    "evaluation": ("evaluation", ()),
}


def directly(service: str, server: str, port: int) -> int:
    """No proxy."""
    return port


class Cluster:
    """Servers with their state below `folder`, and services that are started, killed and scaled.

    Args:
        workers: services to run instead of one of each, as {"embedding-bulk": 2}.
        environment: further variables of every service.
        reach: the port at which a service finds a server ("broker", "objects", "records",
            "vectors").
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: Mapping[str, int] | None = None,
        environment: Mapping[str, str] | None = None,
        reach: Reach = directly,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.broker = RabbitMq(folder / "rabbitmq")
        self.records = Postgres()
        self.objects = RcloneS3(folder / "s3")
        self.vectors = VectorServerProcess(folder / "vectors")
        self._environment = dict(environment or {})
        self._reach = reach
        self._opened = ExitStack()
        counts = dict.fromkeys(SERVICES, 1) | dict(workers or {})
        self._names = [
            f"{name}-{number}" if number > 1 else name
            for name, count in counts.items()
            for number in range(1, count + 1)
        ]
        self.ports = {name: free_port() for name in self._names if name.startswith("gateway")}
        self.services: dict[str, Service] = {}

    @property
    def target(self) -> str:
        """What clients connect to: all gateways, in gRPC's way to write several addresses."""
        addresses = [f"127.0.0.1:{port}" for port in self.ports.values()]
        return addresses[0] if len(addresses) == 1 else f"ipv4:{','.join(addresses)}"

    def client(self) -> Client:
        return Client(self.target)

    def pids(self) -> dict[str, int]:
        """Process ids of everything that runs, by name."""
        servers = {
            "broker": self.broker.pid,
            "records": self.records.pid,
            "objects": self.objects.pid,
            "vectors": self.vectors.pid,
        }
        return servers | {name: each.pid for name, each in self.services.items() if each.alive}

    def start(self) -> None:
        """Returns when every service is ready."""
        for server in (self.broker, self.records, self.objects, self.vectors):
            self._opened.enter_context(server)
        for name in self._names:
            self.services[name] = self._service(name)
            self._opened.callback(self.services[name].kill)
            self.services[name].start()
        for service in self.services.values():
            service.wait_ready()

    def stop(self) -> dict[str, int]:
        """SIGTERM to every service; their exit codes. Then the servers."""
        for service in self.services.values():
            service.begin_stop()
        codes = {name: each.wait_stopped() for name, each in self.services.items() if each.process}
        self.close()
        return codes

    def close(self) -> None:
        """Ends everything, the services by force."""
        self._opened.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _service(self, name: str) -> Service:
        kind = next(each for each in SERVICES if name.startswith(each))
        module, arguments = SERVICES[kind]
        heartbeat = self.folder / f"{name}.alive"
        environment = self.environment(name) | {"SHELFLENS_HEARTBEAT_FILE": str(heartbeat)}
        ready = partial(_serves, self.ports[name]) if kind == "gateway" else None
        log = self.folder / f"{name}.log"
        return Service(module, arguments, environment, heartbeat, log, ready)

    def environment(self, name: str) -> dict[str, str]:
        """The variables of a service."""

        def at(server: str, port: int) -> str:
            return f"127.0.0.1:{self._reach(name, server, port)}"

        return {
            "SHELFLENS_PORT": str(self.ports.get(name, 0)),
            "SHELFLENS_BROKER_URL": f"amqp://guest:guest@{at('broker', self.broker.port)}//",
            "SHELFLENS_S3_URL": f"http://{at('objects', self.objects.port)}",
            "SHELFLENS_S3_ACCESS_KEY": self.objects.server.address.access_key,
            "SHELFLENS_S3_SECRET_KEY": self.objects.server.address.secret_key,
            "SHELFLENS_RECORDS_URL": (
                f"postgresql://postgres@{at('records', self.records.port)}/postgres"
            ),
            "SHELFLENS_QDRANT_URL": f"http://{at('vectors', self.vectors.port)}",
            **self._environment,
        }


def _serves(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(0.5)
        except grpc.FutureTimeoutError:
            return False
    return True
