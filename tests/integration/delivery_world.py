"""An installation on a RabbitMQ that the tests of delivery publish to, with worker processes."""

# mypy: disable-error-code="no-untyped-call"

import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from kombu.connection import Connection
from kombu.messaging import Producer

from services.core import dead_letter_headers as dead
from services.core.adapters.celery_queue import CeleryQueue
from services.core.messages import DropCollection, Message
from services.core.runtime.amqp_broker import Transport
from services.core.runtime.celery_app import make_app
from services.core.runtime.declaring import declare_all
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import eventually

SECONDS = 30.0
READY = "worker.ready"


def drop(name: str, collection: str = "quick") -> DropCollection:
    """A message; `collection` says what the worker does with it."""
    return DropCollection(id=name, operation="o", revision=1, sequence=0, collection=collection)


class Delivery:
    """One installation: its queues, its worker processes and what they wrote."""

    def __init__(self, broker: RabbitMq, folder: Path, prefix: str = "") -> None:
        self.broker = broker
        self.folder = folder
        self.prefix = prefix or uuid.uuid4().hex[:8] + "."
        self.app = make_app(broker.url, prefix=self.prefix)
        self.queue = CeleryQueue(self.app)
        self.workers: list[subprocess.Popen[bytes]] = []

    def declare(self) -> None:
        declare_all(self.broker.url, self.prefix)

    def work(
        self, concurrency: int = 1, grace: float = 20.0, threads: str = "alone"
    ) -> "subprocess.Popen[bytes]":
        """Starts a worker process, `beside` another worker in it or `alone`; does not wait."""
        command = [sys.executable, "-m", "tests.integration.delivery_worker", self.broker.url]
        command += [self.prefix, str(self.folder), str(concurrency), str(grace), threads]
        with (self.folder / "worker.log").open("ab") as out:
            worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.workers.append(worker)
        return worker

    def ready(self, concurrency: int = 1, grace: float = 20.0) -> "subprocess.Popen[bytes]":
        """Starts a worker process and waits until it consumes."""
        before = self.worker_log().count(READY)
        worker = self.work(concurrency, grace)
        eventually(lambda: self.worker_log().count(READY) > before, SECONDS, "worker is ready")
        return worker

    def worker_log(self) -> str:
        path = self.folder / "worker.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def seen(self, what: str) -> Counter[str]:
        """How often each id was written with `what`: begin or end."""
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter(line.split()[1] for line in lines if line.startswith(what))

    def done(self, count: int) -> bool:
        """Whether `count` messages have been worked off."""
        return len(self.seen("end")) >= count

    def publish(self, message: Message) -> None:
        self.queue.publish(message)

    def publish_raw(self, body: bytes, routing_key: str = "index", **options: Any) -> None:
        """Whatever somebody else might publish."""
        options = {"content_type": "application/json", "content_encoding": "utf-8"} | options
        with Connection(self.broker.url, transport_options={"confirm_publish": True}) as connection:
            producer = Producer(connection.channel(), auto_declare=False)
            key = self.prefix + routing_key
            producer.publish(body, exchange=self.prefix + "shelflens", routing_key=key, **options)

    def dead(self, count: int) -> list[Any]:
        """The next `count` dead messages."""
        found: list[Any] = []

        def look() -> bool:
            found.extend(self.broker.take(self.prefix + dead.DEAD_QUEUE))
            return len(found) >= count

        eventually(look, SECONDS, f"{count} dead messages")
        return found

    def take_and_die(self) -> bool:
        """Takes a message of `index` and loses the connection; whether there was one."""
        with Connection(self.broker.url, transport=Transport) as connection:
            return connection.channel().basic_get(self.prefix + "index") is not None

    def waiting(self, queue: str) -> int:
        return self.broker.waiting(self.prefix + queue)

    def close(self, delete: bool = True) -> None:
        for each in self.workers:
            if each.poll() is None:
                each.kill()
            each.wait(SECONDS)
        self.queue.close()
        if delete:
            self.broker.delete(self.prefix)


def reason_of(message: Any) -> str:
    """Why a message is dead, from its headers."""
    headers = message.headers
    if dead.REASON in headers:
        return str(headers[dead.REASON])
    if dead.X_DEATH in headers:
        return dead.BROKER_REASONS[headers[dead.X_DEATH][0]["reason"]]
    return dead.UNROUTABLE
