"""The dead queue, read without decoding, unpickling or decompressing anything."""

# mypy: disable-error-code="no-untyped-call"

import base64
import math
import threading
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import structlog
from amqp.basic_message import Message as RawDelivery
from amqp.exceptions import AMQPError
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from services.core.dead_letter_headers import DEAD_QUEUE
from services.core.dead_letter_reading import DeadMessage
from services.core.domain.errors import ShelflensError

Connect = Callable[[], Connection]

_HEARTBEAT = 10.0
_LOOK = 0.5  # seconds until a consumer looks whether it shall stop
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_AHEAD = 4  # messages on their way: each may be as large as the broker allows
_TOLD = 300
_DEPTH = 20
_EXPECTED = (ShelflensError, AMQPError, OperationalError, OSError)
_log = structlog.get_logger(__name__)


class DeadLetterQueue:
    """Hands every message of the dead queue to `handle` in a thread of its own, one at a time.

    A message is acknowledged when `handle` returns. When it raises, or the connection is lost, the
    broker keeps the message, and after a pause (0.2 to 30 seconds) all begins again. `connect`
    makes a connection that is not open yet.
    """

    def __init__(
        self, connect: Connect, handle: Callable[[DeadMessage], None], queue: str = DEAD_QUEUE
    ) -> None:
        self._connect = connect
        self._handle = handle
        self._queue = queue
        self._stopped = threading.Event()
        self._handled = 0
        self._thread = threading.Thread(target=self._run, name="dead-letters", daemon=True)

    def start(self) -> None:
        """Returns at once; the broker may be down."""
        self._thread.start()

    def stop(self) -> None:
        """Takes no more messages; returns at once."""
        self._stopped.set()

    def close(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the message in hand; True when the thread is gone."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            before = self._handled
            try:
                self._consume()
            except Exception as error:
                failures = 0 if self._handled > before else failures
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
                failures += 1
                reason = error.reason if isinstance(error, ShelflensError) else type(error).__name__
                trace = None if isinstance(error, _EXPECTED) else error
                told = str(error)[:_TOLD]
                _log.warning(
                    "dead_letters.pausing", seconds=pause, reason=reason, error=told, exc_info=trace
                )
                self._stopped.wait(pause)

    def _consume(self) -> None:
        with self._connect() as connection:
            connection.heartbeat = _HEARTBEAT
            connection.connect()
            channel = connection.default_channel
            # Bodies stay bytes, whatever encoding they claim, and nothing is decompressed.
            channel.auto_decode = False
            channel.basic_qos(0, _AHEAD, False)
            channel.basic_consume(self._queue, callback=self._take)
            _log.info("dead_letters.consuming", queue=self._queue)
            while not self._stopped.is_set():
                try:
                    connection.drain_events(timeout=_LOOK)
                except TimeoutError:
                    connection.heartbeat_check()

    def _take(self, delivery: RawDelivery) -> None:
        if self._stopped.is_set():
            return  # closing the connection gives it back
        self._handle(_dead_message(delivery))
        self._handled += 1
        delivery.channel.basic_ack(delivery.delivery_info["delivery_tag"])


def _dead_message(delivery: RawDelivery) -> DeadMessage:
    properties = dict(delivery.properties)
    body = delivery.body
    return DeadMessage(
        body=body.encode() if isinstance(body, str) else bytes(body or b""),
        content_type=_text(properties.pop("content_type", "")),
        content_encoding=_text(properties.pop("content_encoding", "")),
        headers=_object(properties.pop("application_headers", None)),
        properties=_object(properties),
        exchange=_text(delivery.delivery_info["exchange"]),
        routing_key=_text(delivery.delivery_info["routing_key"]),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _object(table: object) -> dict[str, Any]:
    found = _plain(table, _DEPTH)
    return found if isinstance(found, dict) else {}


def _plain(value: Any, depth: int) -> Any:
    """What JSON and every database take: tables of AMQP may hold bytes, times and infinities."""
    match value:
        case None | bool():
            return value
        case str():
            return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        case int() if abs(value) < 1 << 64:
            return value
        case float() if math.isfinite(value):
            return value
        case bytes() | bytearray() | memoryview():
            return "base64:" + base64.b64encode(value).decode()
        case date():
            return value.isoformat()
        case Mapping() if depth:
            return {_key(key): _plain(each, depth - 1) for key, each in value.items()}
        case list() | tuple() if depth:
            return [_plain(each, depth - 1) for each in value]
    return str(value)[:1000] if depth else "(too deep)"


def _key(value: object) -> str:
    return str(_plain(value if isinstance(value, str | bytes) else str(value), 1))
