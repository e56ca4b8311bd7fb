"""Publishes and returns when the broker has the message: with confirms, returns and a deadline."""

# mypy: disable-error-code="no-untyped-call"

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from amqp.exceptions import MessageNacked
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.messaging import Producer

from services.core.domain.errors import Unavailable

QUEUE_FULL = "QUEUE_FULL"
BROKER_UNAVAILABLE = "BROKER_UNAVAILABLE"
UNROUTABLE = "UNROUTABLE"
PERSISTENT = 2
TRANSIENT = 1
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_MOST_IDLE = 16  # connections that are kept for the next publish
_log = structlog.get_logger(__name__)

Declare = Callable[[Connection], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message on its way. `persistent` ones outlive the broker where their queue does."""

    exchange: str
    routing_key: str
    body: bytes
    headers: Mapping[str, Any]
    content_type: str | None = "application/json"
    content_encoding: str | None = "utf-8"
    properties: Mapping[str, Any] = field(default_factory=dict)
    persistent: bool = True


class _Line:
    """A connection with one channel, for one thread at a time."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.returned: list[Exception] = []
        self._channel = connection.channel()
        self._producer = Producer(self._channel, auto_declare=False)
        if connection.transport.driver_type == "amqp":
            self._channel.events["basic_return"].add(self._on_return)

    def send(self, message: Outgoing, seconds: float) -> None:
        self.returned.clear()
        self._producer.publish(
            message.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            headers=dict(message.headers),
            content_type=message.content_type or "application/octet-stream",
            content_encoding=message.content_encoding or "binary",
            delivery_mode=PERSISTENT if message.persistent else TRANSIENT,
            mandatory=True,  # confirms alone say nothing about a message that no queue takes
            timeout=seconds,
            confirm_timeout=seconds,
            **message.properties,
        )

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.connection.collect(socket_timeout=0.5)

    def _on_return(self, error: Exception, *_: Any) -> None:
        self.returned.append(error)


class ConfirmedPublisher:
    """Threads share one; each uses a connection of its own out of a pool.

    `connect` makes a connection that is not open yet; `declare` is called with the first one, and
    after a loss again, because the broker may have come back empty.
    """

    def __init__(self, connect: Callable[[], Connection], declare: Declare, timeout: float) -> None:
        self._connect = connect
        self._declare = declare
        self._timeout = timeout
        self._idle: list[_Line] = []
        self._lock = threading.Lock()
        self._declaring = threading.Lock()
        self._declared = False
        self._closed = False

    def publish(self, message: Outgoing, timeout: float | None = None) -> None:
        """Returns when the broker has stored the message in a queue.

        Tries again within `timeout` seconds while the broker cannot be reached, so a message may
        arrive twice. Raises Unavailable: QUEUE_FULL at once, BROKER_UNAVAILABLE, UNROUTABLE where
        there still is no queue after `declare`; and what `declare` raises.
        """
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._attempt(message, deadline)
            except _Lost as lost:
                left = deadline - time.monotonic()
                if left <= pause:
                    raise Unavailable(
                        f"the message broker does not take messages for {message.routing_key}: "
                        f"{lost.error!r}; try again when it is up",
                        reason=lost.reason,
                    ) from lost.error
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def close(self) -> None:
        """Closes the connections; a publish that is under way may fail."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
        for line in idle:
            line.close()

    def _attempt(self, message: Outgoing, deadline: float) -> None:
        line = self._take(deadline)
        try:
            line.send(message, max(0.05, deadline - time.monotonic()))
        except MessageNacked as error:
            self._give_back(line)
            raise Unavailable(
                f"the queue of {message.routing_key} is full: give its workers time, or start more",
                reason=QUEUE_FULL,
            ) from error
        except _errors(line.connection) as error:
            # Also after a timeout: a late confirmation would count for the next message.
            self._lose(line)
            raise _Lost(error) from error
        except BaseException:
            self._lose(line)
            raise
        if line.returned:  # somebody deleted queues: with the next connection they are declared
            self._lose(line)
            raise _Lost(line.returned[0], UNROUTABLE)
        self._give_back(line)

    def _take(self, deadline: float) -> _Line:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        connection = self._connect()
        left = max(0.05, deadline - time.monotonic())
        connection.connect_timeout = left  # type: ignore[assignment]
        try:
            connection.ensure_connection(
                max_retries=1, interval_start=0, interval_step=0, timeout=left
            )
            with self._declaring, bounded(connection, left):
                if not self._declared:
                    self._declare(connection)
                    self._declared = True
                return _Line(connection)
        except _errors(connection) as error:
            with contextlib.suppress(Exception):
                connection.collect(socket_timeout=0.5)
            raise _Lost(error) from error

    def _give_back(self, line: _Line) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _MOST_IDLE:
                self._idle.append(line)
                return
        line.close()

    def _lose(self, line: _Line) -> None:
        """The others are most likely lost as well."""
        with self._lock:
            idle, self._idle, self._declared = self._idle, [], False
        _log.debug("publisher.connection_lost", idle=len(idle))
        for each in (line, *idle):
            each.close()


class _Lost(Exception):
    """The next attempt needs another connection; whether the message arrived may be unknown."""

    def __init__(self, error: Exception, reason: str = BROKER_UNAVAILABLE) -> None:
        super().__init__(str(error))
        self.error = error
        self.reason = reason


@contextlib.contextmanager
def bounded(connection: Connection, seconds: float) -> Iterator[None]:
    """Declarations have no timeout of their own: a silent broker would hold them for ever.

    With this they raise TimeoutError, and the connection is of no more use.
    """
    transport = getattr(connection.connection, "transport", None)  # there is none in memory
    sock = getattr(transport, "sock", None)
    if sock is not None:
        sock.settimeout(seconds)
    yield
    if sock is not None:
        sock.settimeout(None)


def _errors(connection: Connection) -> tuple[type[Exception], ...]:
    return (*connection.connection_errors, *connection.channel_errors, OperationalError, OSError)
