"""Answers to queries, on their way to the addresses that the queries name."""

# mypy: disable-error-code="no-untyped-call"

import select
import threading
from contextlib import suppress

import structlog
from kombu.connection import Connection

from services.core.adapters.query_wire import CONTENT_TYPE, ENCODING

_ADDRESS = "amq.rabbitmq.reply-to."
_CONNECT_SECONDS = 2.0
_WRITE_SECONDS = 2.0
_log = structlog.get_logger(__name__)


class Replies:
    """One connection for the answers of all threads; made when the first answer is there.

    Celery's own connection belongs to its consumer thread.
    """

    def __init__(self, broker_url: str) -> None:
        self._url = broker_url
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def send(self, address: str, correlation_id: str, body: bytes) -> None:
        """Tries twice. An answer that cannot be sent is dropped: the caller has a deadline.

        Raises ValueError for an address that is none of direct reply-to: anything else would be
        the name of a queue.
        """
        if not address.startswith(_ADDRESS):
            raise ValueError("a query names no address for its answer")
        with self._lock:
            for last in (False, True):
                try:
                    self._publish(address, correlation_id, body)
                    return
                except Exception as error:  # whatever it is, a new connection is the cure
                    self._drop()
                    if last:
                        _log.warning("query.answer_lost", error=str(error))

    def close(self) -> None:
        """Answers after this make a new connection."""
        with self._lock:
            self._drop()

    def _publish(self, address: str, correlation_id: str, body: bytes) -> None:
        connection = self._open()
        channel = connection.default_channel
        message = channel.prepare_message(
            body,
            content_type=CONTENT_TYPE,
            content_encoding=ENCODING,
            properties={"correlation_id": correlation_id, "delivery_mode": 1},
        )
        channel.basic_publish(message, exchange="", routing_key=address, timeout=_WRITE_SECONDS)

    def _open(self) -> Connection:
        if self._connection is None:
            # Without heartbeats, since nobody waits for them; the kernel notices dead peers.
            made = Connection(self._url, connect_timeout=_CONNECT_SECONDS, heartbeat=0)
            made.connect()
            self._connection = made
        # The first write after the broker has gone would seem to succeed.
        while select.select([self._connection.connection.sock], [], [], 0)[0]:
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=0.005)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it may be broken
                connection.close()
