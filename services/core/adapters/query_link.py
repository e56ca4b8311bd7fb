"""The thread that owns the connection for query photos, and replaces it when it breaks."""

# mypy: disable-error-code="no-untyped-call"

import random
import threading
import time
from contextlib import closing, suppress

import structlog
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from services.core.adapters.query_calls import Call, Calls, Outgoing
from services.core.adapters.query_session import HEARTBEAT, QuerySession
from services.core.domain.errors import Unavailable

_CONNECT_SECONDS = 2.0
_BACKOFF = (0.05, 1.0)  # first and longest pause between two attempts to connect
_log = structlog.get_logger(__name__)


class QueryLink:
    """Sends calls and settles them. `send` is for any thread; all else happens in its own.

    While the broker is away for less than `grace` seconds calls wait; after that new ones fail at
    once. Those under way are sent a second time when it is back. A call that waits for longer
    than `nobody_seconds` while no worker takes queries fails.
    """

    def __init__(
        self, url: str, queue: Queue, calls: Calls, *, grace: float, nobody_seconds: float
    ) -> None:
        self._url = url
        self._queue = queue
        self._calls = calls
        self._grace = grace
        self._nobody_seconds = nobody_seconds
        self._outgoing = Outgoing()
        self._down_since: float | None = time.monotonic()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="query-link", daemon=True)
        self._thread.start()

    @property
    def down(self) -> bool:
        """Whether there is no connection now."""
        return self._down_since is not None

    def send(self, call: Call) -> None:
        """Takes the call over. Raises Unavailable (BROKER_UNAVAILABLE), ResourceExhausted."""
        if self._closing or self._down_for() > self._grace:
            raise broker_unavailable()
        self._calls.add(call)
        self._outgoing.put(call)
        if self._closing:  # the thread may have looked for the last time
            call.settle(_stopping())

    def close(self) -> None:
        """Fails what waits and ends the thread."""
        self._closing = True
        self._outgoing.rouse()
        self._thread.join()
        self._outgoing.close()

    def _down_for(self) -> float:
        since = self._down_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        pause = _BACKOFF[0]
        while not self._closing:
            try:
                self._serve()
            except Exception as error:  # whatever it is, a new connection is the cure
                if self._down_since is None:
                    self._down_since, pause = time.monotonic(), _BACKOFF[0]
                _log_down(error)
                self._while_down(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, _BACKOFF[1])
        for call in self._calls.waiting():
            self._calls.settle(call.id, _stopping())

    def _serve(self) -> None:
        connection = Connection(self._url, connect_timeout=_CONNECT_SECONDS, heartbeat=HEARTBEAT)
        try:
            connection.connect()
            session = QuerySession(connection, self._queue, self._calls, self._outgoing)
            self._down_since = None
            _log.info("query_link.up")
            with closing(session):
                session.send_again()
                while not self._closing:
                    session.step(self._nobody_seconds)
        finally:
            with suppress(Exception):  # it may be broken
                connection.close()

    def _while_down(self, seconds: float) -> None:
        """Fails the calls that need not wait for the broker, until `seconds` have passed."""
        until = time.monotonic() + seconds
        while not self._closing and (left := until - time.monotonic()) > 0:
            late = self._down_for() > self._grace
            for call in self._calls.waiting():
                if call.published > 1 or (late and not call.published):
                    self._calls.settle(call.id, broker_unavailable())
            time.sleep(min(left, 0.05))


def broker_unavailable() -> Unavailable:
    """No connection, for longer than callers should wait."""
    return Unavailable(
        "the message broker does not answer, so that no query photo can be embedded: see that "
        "RabbitMQ runs and that SHELFLENS_BROKER_URL names it",
        reason="BROKER_UNAVAILABLE",
    )


def _stopping() -> Unavailable:
    return Unavailable("this gateway is stopping: ask again", reason="STOPPING")


def _log_down(error: Exception) -> None:
    expected = (OSError, OperationalError, *Connection("amqp://").connection_errors)
    surprise = None if isinstance(error, expected) else error
    _log.warning("query_link.down", error=str(error), exc_info=surprise)
