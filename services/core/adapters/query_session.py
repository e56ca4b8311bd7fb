"""One connection for query photos: queries go out, answers come in by RabbitMQ's direct reply-to.

Direct reply-to ties both to one channel. Made and used by one thread, until it raises.
"""

# mypy: disable-error-code="no-untyped-call"

import selectors
import time
from contextlib import suppress
from typing import Any

from kombu.connection import Connection
from kombu.entity import Queue

from services.core.adapters.query_calls import Call, Calls, Outgoing
from services.core.adapters.query_wire import CONTENT_TYPE, ENCODING
from services.core.domain.errors import ResourceExhausted, Unavailable

HEARTBEAT = 20  # seconds
_REPLIES = "amq.rabbitmq.reply-to"
_WRITE_SECONDS = 2.0
_READ_SECONDS = 0.005  # for the rest of what has begun to arrive
_TICK = 0.25
_NOT_FOUND = 404


class QuerySession:
    """Publishes the calls in `outgoing` and settles those in `calls`."""

    def __init__(
        self, connection: Connection, queue: Queue, calls: Calls, outgoing: Outgoing
    ) -> None:
        self._connection = connection
        self._calls = calls
        self._outgoing = outgoing
        self._channel = connection.channel()
        self._channel.auto_decode = False  # what headers say is not to be acted upon
        self._queue = queue(self._channel)
        self._queue.declare()
        self._channel.basic_consume(_REPLIES, "", no_ack=True, callback=self._answered)
        self._channel.events["basic_return"].add(self._returned)
        self._unconfirmed: dict[int, str] = {}  # by number of the message
        self._sent = 0
        self._channel.confirm_select()  # nobody waits for these; they say when the queue is full
        self._channel.events["basic_ack"].add(self._taken)
        self._channel.events["basic_nack"].add(self._refused)
        self._probe: Any = None  # a channel
        self._looked = self._beat = time.monotonic()
        self._socket = connection.connection.sock
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(outgoing.woken, selectors.EVENT_READ)

    def send_again(self) -> None:
        """Publishes the calls whose first message may be lost with an earlier connection."""
        for call in self._calls.waiting():
            if call.published == 1:
                self._publish(call)

    def step(self, nobody_seconds: float) -> None:
        """Does what there is to do, after waiting for it for at most a quarter of a second."""
        ready = {key.fileobj for key, _ in self._selector.select(_TICK)}
        if self._outgoing.woken in ready:
            for call in self._outgoing.take():
                self._publish(call)
        if self._socket in ready:
            self._read()
        now = time.monotonic()
        if now - self._beat > HEARTBEAT / 4:
            self._connection.heartbeat_check()
            self._beat = now
        if now - self._looked > _TICK:
            self._look_for_workers(now - nobody_seconds)
            self._looked = now

    def close(self) -> None:
        """The connection is the maker's to close."""
        self._selector.close()

    def _publish(self, call: Call) -> None:
        left = call.deadline - time.monotonic()
        if call.id not in self._calls or left <= 0:
            return
        message = self._channel.prepare_message(
            call.body,
            content_type=CONTENT_TYPE,
            content_encoding=ENCODING,
            headers=call.headers,
            properties={
                "correlation_id": call.id,
                "reply_to": _REPLIES,
                "delivery_mode": 1,
                "expiration": str(max(1, int(1e3 * left))),
            },
        )
        call.published += 1
        self._sent += 1
        self._unconfirmed[self._sent] = call.id
        self._channel.basic_publish(
            message,
            exchange=self._queue.exchange.name,
            routing_key=self._queue.routing_key,
            mandatory=True,
            timeout=_WRITE_SECONDS,
        )

    def _read(self) -> None:
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=_READ_SECONDS)
            while getattr(self._socket, "pending", int)():  # TLS may have read ahead
                self._connection.drain_events(timeout=_READ_SECONDS)

    def _answered(self, message: Any) -> None:
        body = message.body
        answer = body if isinstance(body, bytes) else str(body).encode()
        self._calls.settle(str(message.properties.get("correlation_id", "")), answer)

    def _returned(self, error: Exception, exchange: str, key: str, message: Any) -> None:
        self._calls.settle(str(message.properties.get("correlation_id", "")), _nobody_there())

    def _taken(self, number: int, multiple: bool) -> None:
        self._confirmed(number, multiple)

    def _refused(self, number: int, multiple: bool) -> None:
        for id_ in self._confirmed(number, multiple):
            self._calls.settle(id_, _queue_full())

    def _confirmed(self, number: int, multiple: bool) -> list[str]:
        """The ids of the calls that the broker speaks of."""
        numbers = [each for each in self._unconfirmed if each <= number] if multiple else [number]
        return [self._unconfirmed.pop(each) for each in numbers if each in self._unconfirmed]

    def _look_for_workers(self, begun_before: float) -> None:
        """Only when a call waits for long: its answer may never come."""
        waiting = [call for call in self._calls.waiting() if call.begun < begun_before]
        if waiting and not self._consumers():
            for call in waiting:
                self._calls.settle(call.id, _nobody_there())

    def _consumers(self) -> int:
        """How many take from the queue, asked on a channel that a missing queue may close."""
        if self._probe is None:
            self._probe = self._connection.channel()
        try:
            found = self._probe.queue_declare(queue=self._queue.name, passive=True)
        except self._connection.channel_errors as error:
            if getattr(error, "reply_code", 0) != _NOT_FOUND:
                raise
            self._probe = None
            self._queue.declare()
            return 0
        return int(found.consumer_count)


def _nobody_there() -> Unavailable:
    return Unavailable(
        "no embedding worker takes query photos: start python -m services.embedding --queue query",
        reason="NO_QUERY_WORKERS",
    )


def _queue_full() -> ResourceExhausted:
    return ResourceExhausted(
        "the queue of query photos is full: retry later, or start more embedding workers "
        "(python -m services.embedding --queue query)",
        reason="QUEUE_FULL",
    )
