"""RabbitMQ from the system's package, with its state below one directory."""

# mypy: disable-error-code="no-untyped-call"

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from kombu.connection import Connection
from kombu.entity import Queue

from services.core.runtime.amqp_broker import Transport
from services.core.runtime.topology import topology
from tests.servers.ports import free_port, wait_for_port

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_READY_SECONDS = 90.0
_STOP_SECONDS = 30.0


class RabbitMq:
    """A broker that is started, killed and started again on the same ports with the same state.

    Skips the test, saying so, where RabbitMQ is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if not PROGRAM.exists():
            pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
        self.folder = folder
        self.port = free_port()
        self._epmd_port = free_port()
        self._dist_port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def pid(self) -> int:
        """Of the process whose children are all the others."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Returns when it takes connections."""
        for name in ("home", "mnesia", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "enabled_plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text(
            "loopback_users.guest = true\nvm_memory_high_watermark.absolute = 1GB\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        log = self.folder / "server.log"
        with log.open("ab") as out:
            # RabbitMQ would start one that outlives it and belongs to nobody.
            self._epmd = subprocess.Popen(
                ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
            wait_for_port(self._epmd_port, self._epmd, log, _READY_SECONDS)
            self.process = subprocess.Popen(
                [str(PROGRAM)],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # the launcher is a shell: signals go to its whole group
            )
        wait_for_port(self.port, self.process, log, _READY_SECONDS)

    def kill(self) -> None:
        """kill -9, as a crash would be."""
        self._signal(signal.SIGKILL)
        self._end_epmd()

    def stop(self) -> None:
        """Ends it in order."""
        self._signal(signal.SIGTERM)
        self._end_epmd()

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to the broker that does not end it, such as SIGSTOP."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def take(self, queue: str) -> list[Any]:
        """Every message of `queue` (kombu's), taken off it."""
        with Connection(self.url, transport=Transport) as connection:
            channel = connection.channel()
            found = []
            while (message := Queue(queue)(channel).get(no_ack=True)) is not None:
                found.append(message)
            return found

    def waiting(self, queue: str) -> int:
        """How many messages are ready in `queue`."""
        with Connection(self.url) as connection, connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def purge(self, prefix: str) -> None:
        """Empties all queues of the installation with `prefix`."""
        with Connection(self.url) as connection, connection.channel() as channel:
            for queue in topology(prefix).queues:
                channel.queue_purge(queue.queue)

    def delete(self, prefix: str) -> None:
        """Deletes all queues and exchanges of the installation with `prefix`."""
        table = topology(prefix)
        with Connection(self.url) as connection, connection.channel() as channel:
            for queue in table.queues:
                channel.queue_delete(queue.queue)
            for exchange in table.exchanges:
                channel.exchange_delete(exchange.name)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _signal(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while _group_lives(process):
            if time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
                deadline += _STOP_SECONDS
            time.sleep(0.02)

    def _end_epmd(self) -> None:
        epmd, self._epmd = self._epmd, None
        if epmd is not None:
            epmd.kill()
            epmd.wait(_STOP_SECONDS)

    def _environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            "PATH": os.environ["PATH"],
            "HOME": f"{folder}/home",
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"r{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none"
            ),
        }


def _group_lives(leader: "subprocess.Popen[bytes]") -> bool:
    """Whether anything of the group is left: the launcher may end before the broker does."""
    leader.poll()
    try:
        os.killpg(leader.pid, 0)
    except ProcessLookupError:
        return False
    return True
