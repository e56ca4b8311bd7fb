"""One cluster with a proxy between every pair that talks, small disks, and an orchestrator.

The orchestrator starts services that end by themselves, as Kubernetes would; what a fault keeps
down stays down until it heals.
"""

import shutil
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.chaos.object_faults import ObjectFaults
from tests.chaos.small_disks import SmallDisk
from tests.chaos.tcp_proxy import Proxies, TcpProxy
from tests.servers.cluster import Cluster
from tests.servers.service import Service

Pair = tuple[str, str]

# Who talks to whom.
PAIRS: tuple[Pair, ...] = (
    ("client", "gateway"),
    ("gateway", "broker"),
    ("gateway", "objects"),
    ("gateway", "records"),
    ("gateway", "vectors"),
    ("coordinator", "broker"),
    ("coordinator", "objects"),
    ("coordinator", "records"),
    ("ingestion", "broker"),
    ("ingestion", "objects"),
    ("embedding-bulk", "broker"),
    ("embedding-bulk", "objects"),
    ("embedding-query", "broker"),
    ("embedding-query", "objects"),
    ("indexing", "broker"),
    ("indexing", "objects"),
    ("indexing", "vectors"),
)
SERVERS = ("broker", "records", "objects", "vectors")
DISK_MIB = 400
# Short leases and small shards, so that a seed of minutes sees many of them.
ENVIRONMENT: Mapping[str, str] = {
    "SHELFLENS_LEASE_SECONDS": "15",
    "SHELFLENS_SHARD_ROWS": "16",
    "SHELFLENS_GRACE_SECONDS": "20",
    "SHELFLENS_DECODERS": "1",
}
_LOOK_SECONDS = 0.5


class World:
    """The cluster of one seed, with everything that faults need. Files lie below `folder`.

    `workers` are services of which there are several; faults meet the first of each.
    """

    def __init__(self, folder: Path, workers: Mapping[str, int] | None = None) -> None:
        self.cluster = Cluster(folder, workers=workers, environment=ENVIRONMENT, reach=self._reach)
        self.object_faults = ObjectFaults(self.cluster.objects.port)
        self.proxies: dict[Pair, TcpProxy] = {}
        self.disks = {
            "broker": SmallDisk(folder / "rabbitmq", DISK_MIB),
            "objects": SmallDisk(folder / "s3" / "data", DISK_MIB),
            "records": SmallDisk(self.cluster.records.folder, DISK_MIB),
        }
        self.held: set[str] = set()
        self.effects: list[str] = []  # what faults did beside beginning and healing
        self.ended: list[tuple[str, int]] = []  # services that ended by themselves, with codes
        self._all_proxies = Proxies()
        self._opened = ExitStack()
        self._closing = threading.Event()
        self._lock = threading.RLock()

    @property
    def target(self) -> str:
        """What customers connect to."""
        return f"127.0.0.1:{self.proxies['client', 'gateway'].port}"

    @property
    def services(self) -> dict[str, Service]:
        return self.cluster.services

    def server(self, name: str) -> "Server":
        return Server(self, name)

    def hold(self, service: str) -> None:
        """Keeps the orchestrator away from a service."""
        with self._lock:
            self.held.add(service)

    def release(self, service: str) -> None:
        """Starts it, if it is down, and gives it back to the orchestrator."""
        with self._lock:
            self.held.discard(service)
            if not self.services[service].alive:
                self.services[service].start()

    def memory(self) -> dict[str, int]:
        """Resident bytes of every service, its children included."""
        return {name: _resident(each.pid) for name, each in self.services.items() if each.alive}

    def __enter__(self) -> Self:
        try:
            # The server cannot remove what a disk is mounted on.
            self._opened.callback(shutil.rmtree, self.cluster.records.folder, ignore_errors=True)
            for each in self.disks.values():
                self._opened.enter_context(each)
            self._opened.enter_context(self._all_proxies)
            self._opened.enter_context(self.object_faults)
            self.proxies["client", "gateway"] = self._all_proxies.to(self.cluster.ports["gateway"])
            self._opened.enter_context(self.cluster)
            thread = threading.Thread(target=self._orchestrate, name="orchestrator", daemon=True)
            thread.start()
            self._opened.callback(thread.join)
            self._opened.callback(self._closing.set)
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def stop(self) -> dict[str, int]:
        """SIGTERM to all services; their exit codes."""
        self._closing.set()
        with self._lock:
            for each in self.services.values():
                each.begin_stop()
            return {
                name: each.wait_stopped() for name, each in self.services.items() if each.process
            }

    def _reach(self, service: str, server: str, port: int) -> int:
        pair = (service, server)
        if pair not in PAIRS:  # it has no use for this server, or is not the first of its kind
            return port
        if pair not in self.proxies:
            target = self.object_faults.port if server == "objects" else port
            self.proxies[pair] = self._all_proxies.to(target)
        return self.proxies[pair].port

    def _orchestrate(self) -> None:
        while not self._closing.wait(_LOOK_SECONDS):
            with self._lock:
                for name, service in self.services.items():
                    if name in self.held or service.process is None or service.alive:
                        continue
                    self.ended.append((name, int(service.process.returncode)))
                    service.start()


class Server:
    """One of the four servers, to be killed, stopped for a while, and started."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self._cluster = world.cluster

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        match self.name:
            case "vectors":
                root = self._cluster.vectors.pid
            case "objects":
                root = self._cluster.objects.pid
            case "records":
                root = _pid(self._cluster.records.process)
            case _:
                root = _pid(self._cluster.broker.process)
        return [root, *(each.pid for each in psutil.Process(root).children(recursive=True))]

    def kill(self) -> None:
        """kill -9."""
        match self.name:
            case "broker":
                self._cluster.broker.kill()
            case "records":
                self._cluster.records.kill()
            case "objects":
                self._cluster.objects.stop()
            case _:
                self._cluster.vectors.kill()

    def start(self) -> None:
        """Returns when it answers, on its old port, with its old state."""
        match self.name:
            case "broker":
                self._cluster.broker.start()
            case "records":
                self._cluster.records.start()
            case "objects":
                self._cluster.objects.start()
            case _:
                self._cluster.vectors.start()

    def restart_if_dead(self) -> None:
        """After a full disk, which some servers do not survive."""
        try:
            alive = psutil.Process(self.pids[0]).status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, AssertionError):
            alive = False
        if not alive:
            self.kill()
            self.start()


def _pid(process: object) -> int:
    pid = getattr(process, "pid", None)
    assert isinstance(pid, int), "the server does not run"
    return pid


def _resident(pid: int) -> int:
    total = 0
    try:
        root = psutil.Process(pid)
        for each in (root, *root.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total
