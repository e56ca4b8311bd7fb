"""kombu's in-memory broker with a bell instead of polling.

kombu's own memory:// looks for messages every polling_interval: each hop costs half of it, a
thread handles one message an interval at best, idle workers burn CPU, and a stop takes 2 s. It
also loses messages when two threads use a queue for the first time at once. Here a message or an
acknowledgement wakes the workers, and first use is locked. Every host name is a broker of its
own: memory://a/ and memory://b/ share nothing.
"""

# mypy: disable-error-code="no-untyped-call"

import threading
import time
from queue import Empty, Queue
from typing import Any

from kombu.transport import memory, virtual

LONGEST_WAIT = 0.2  # seconds until a worker looks whether it shall stop


class _Broker:
    """What one host name holds, and the bell that says that it changed."""

    def __init__(self) -> None:
        self.state = virtual.BrokerState()
        self.queues: dict[str, Queue[Any]] = {}
        self.lock = threading.RLock()
        self.rung = 0
        self._bell = threading.Condition()

    def ring(self) -> None:
        with self._bell:
            self.rung += 1
            self._bell.notify_all()

    def wait(self, heard: int, seconds: float) -> bool:
        """True as soon as the bell has rung more than `heard` times."""
        with self._bell:
            return self._bell.wait_for(lambda: self.rung != heard, seconds)


_brokers: dict[str, _Broker] = {}
_brokers_lock = threading.Lock()


class _QoS(virtual.QoS):
    def ack(self, delivery_tag: str) -> None:
        super().ack(delivery_tag)
        self.channel.connection.broker.ring()  # there is room for the next message

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        super().reject(delivery_tag, requeue=requeue)
        self.channel.connection.broker.ring()


class Channel(memory.Channel):
    """A channel to the broker of its transport."""

    QoS = _QoS
    do_restore = True  # messages that a stopped worker still held go back to their queue

    def __init__(self, connection: Any, **options: Any) -> None:
        super().__init__(connection, **options)
        self._broker: _Broker = connection.broker
        self.queues = self._broker.queues

    def exchange_declare(self, *arguments: Any, **options: Any) -> None:
        with self._broker.lock:
            super().exchange_declare(*arguments, **options)

    def queue_bind(self, *arguments: Any, **options: Any) -> None:
        with self._broker.lock:
            super().queue_bind(*arguments, **options)

    def _new_queue(self, queue: str, **options: Any) -> None:
        with self._broker.lock:
            super()._new_queue(queue, **options)

    def _queue_for(self, queue: str) -> Any:
        with self._broker.lock:
            return super()._queue_for(queue)

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        super()._put(queue, message, **options)
        self._broker.ring()


class Transport(memory.Transport):
    """The transport behind memory:// URLs of runtime.celery_app."""

    Channel = Channel

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        with _brokers_lock:
            self.broker = _brokers.setdefault(client.hostname or "localhost", _Broker())
        self.state = self.broker.state

    def drain_events(self, connection: Any, timeout: float | None = None, **options: Any) -> None:
        """Delivers one message. Raises TimeoutError, sooner than asked so that stops are quick."""
        deadline = time.monotonic() + min(LONGEST_WAIT, timeout or LONGEST_WAIT)
        cycle: Any = self.cycle
        while True:
            heard = self.broker.rung
            try:
                cycle.get(self._deliver, timeout=timeout)
            except Empty:
                left = deadline - time.monotonic()
                if left <= 0 or not self.broker.wait(heard, left):
                    raise TimeoutError from None
            else:
                return
