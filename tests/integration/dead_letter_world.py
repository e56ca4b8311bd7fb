"""A recorder of dead letters on a real broker, and what publishes to it and dies there."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amqp.basic_message import Message as Outgoing
from kombu.connection import Connection

from services.coordinator.dead_letters import DeadLetterLimits, DeadLetters
from services.core.adapters.celery_queue import CeleryQueue
from services.core.adapters.dead_letter_queue import DeadLetterQueue
from services.core.adapters.file_objects import FileObjects
from services.core.adapters.sql_records import open_sqlite
from services.core.adapters.system_clock import SystemClock
from services.core.dead_letter_headers import DEAD_EXCHANGE, DEAD_QUEUE
from services.core.dead_letter_ports import DeadLetter
from services.core.dead_letter_reading import DeadMessage
from services.core.messages import EmbedShard, Message, Report
from services.core.runtime.celery_app import make_app
from services.core.runtime.declaring import declare_all
from services.core.runtime.topology import EXCHANGE
from tests.waiting import eventually

SECONDS = 20.0
SHARD = EmbedShard(
    id="op/3/embed/0",
    operation="op",
    revision=1,
    sequence=3,
    embedders=("d" * 64,),
    sha256s=("a" * 64,),
    embeddings=("embeddings/x",),
)


class DeadWorld:
    """One installation on the broker, with queues of its own."""

    def __init__(self, url: str, root: Path, kept: int = 1_000) -> None:
        self.url = url
        self.prefix = f"t{uuid.uuid4().hex[:8]}."
        declare_all(url, self.prefix)
        self.app = make_app(url, prefix=self.prefix)
        self.records = open_sqlite(root / "records.db")
        self.objects = FileObjects(root / "objects")
        self.queue = CeleryQueue(self.app)
        self.reports: list[Report] = []
        self.handled = 0
        self.connections: list[Connection] = []
        self.letters = DeadLetters(
            self.records,
            self.objects,
            SystemClock(),
            self.reports.append,
            DeadLetterLimits(kept=kept),
            prefix=self.prefix,
        )

    def connect(self) -> Connection:
        """As an application does, and remembered."""
        self.connections.append(self.app.connection_for_read())
        return self.connections[-1]

    def handle(self, message: DeadMessage) -> None:
        """Tests may replace it."""
        self.letters.record(message)
        self.handled += 1

    @contextmanager
    def recording(self) -> Iterator[None]:
        """With the recorder running."""
        name = self.prefix + DEAD_QUEUE
        recorder = DeadLetterQueue(self.connect, lambda message: self.handle(message), name)
        recorder.start()
        try:
            yield
        finally:
            assert recorder.close(SECONDS)

    def recorded(self, count: int) -> list[DeadLetter]:
        """The letters, oldest first, when there are so many and the dead queue is empty."""
        eventually(lambda: self.handled >= count, SECONDS, f"{count} messages are recorded")
        eventually(lambda: self.left(DEAD_QUEUE) == 0, SECONDS, "the dead queue is empty")
        with self.records.begin() as tx:
            listed = tx.dead_letters.page("", 1_000)
            return [tx.dead_letters.get(each.id) for each in reversed(listed)]

    def left(self, queue: str) -> int:
        """Messages that wait in a queue."""
        with self.app.connection_for_read() as connection:
            declared = connection.default_channel.queue_declare(self.prefix + queue, passive=True)
            return int(declared.message_count)

    def publish(self, key: str, body: bytes, *, dead: bool = False, **properties: Any) -> None:
        """Raw, to the exchange of all messages, or of dead ones."""
        exchange = self.prefix + (DEAD_EXCHANGE if dead else EXCHANGE)
        self._send(exchange, key, Outgoing(body, **properties))

    def craft(self, key: str, message: "Crafted") -> None:
        """To the exchange of all messages, just as it is."""
        self._send(self.prefix + EXCHANGE, key, message)

    def _send(self, exchange: str, key: str, message: Outgoing) -> None:
        with self.app.connection_for_write() as connection:
            connection.default_channel.basic_publish(
                message, exchange=exchange, routing_key=self.prefix + key
            )

    def take(self, queue: str) -> Any:
        """The next message of a queue, acknowledged."""
        return self._take(queue, lambda channel, tag: channel.basic_ack(tag))

    def reject(self, queue: str, *, times: int = 1, requeue: bool = False) -> None:
        """What a worker does that dies of the message (`requeue`), or gives up on it."""
        for _ in range(times):
            self._take(queue, lambda channel, tag: channel.basic_reject(tag, requeue=requeue))

    def _take(self, queue: str, end: Any) -> Any:
        with self.app.connection_for_read() as connection:
            channel = connection.default_channel
            name = self.prefix + queue
            got = eventually(lambda: channel.basic_get(name), SECONDS, f"{queue} has a message")
            end(channel, got.delivery_info["delivery_tag"])
            return got


class Crafted(Outgoing):  # type: ignore[misc]  # untyped
    """A message with properties as they stand here, however wrong."""

    def __init__(self, body: bytes, raw: bytes) -> None:
        super().__init__(body)
        self._raw = raw

    def _serialize_properties(self) -> bytes:
        return self._raw


def body_of(message: Message) -> bytes:
    return json.dumps([[], {"message": message.to_json()}, {}]).encode()


def task(message: Message, **headers: Any) -> Mapping[str, Any]:
    """The properties of a message as Celery sends it."""
    return {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "correlation_id": "c1",
        "application_headers": {"task": message.TASK, "id": "c1", "retries": 0, **headers},
    }
