"""A worker of query photos that answers whatever a test wants."""

# mypy: disable-error-code="no-untyped-call"

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer, Producer

Answers = Callable[[str, bytes], list[tuple[str, bytes]]]


class ScriptedWorker:
    """Takes from `queue` and sends what `answers(correlation id, body)` gives: pairs of the same.

    `seen` holds the correlation ids in the order of arrival.
    """

    def __init__(self, url: str, queue: Queue, answers: Answers) -> None:
        self.seen: list[str] = []
        self._url = url
        self._queue = queue
        self._answers = answers
        self._ready = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with Connection(self._url) as connection:
            channel = connection.channel()
            producer = Producer(channel)

            def answer(message: Any) -> None:
                id_, address = message.properties["correlation_id"], message.properties["reply_to"]
                self.seen.append(id_)
                message.ack()
                for correlation_id, body in self._answers(id_, bytes(message.body)):
                    producer.publish(
                        body,
                        exchange="",
                        routing_key=address,
                        correlation_id=correlation_id,
                        content_type="application/octet-stream",
                        content_encoding="binary",
                    )

            with Consumer(channel, [self._queue(channel)], on_message=answer):
                self._ready.set()
                while not self._stopped.is_set():
                    with suppress(TimeoutError):
                        connection.drain_events(timeout=0.05)
