"""Declares the table of runtime.topology on a broker."""

# mypy: disable-error-code="no-untyped-call"

from typing import Any

from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError

from services.core.adapters.confirmed_publisher import bounded
from services.core.domain.errors import FailedPrecondition, Unavailable
from services.core.runtime.topology import ExchangeSpec, Route, Topology, topology

QUEUE_MISMATCH = "QUEUE_MISMATCH"
_PRECONDITION_FAILED = 406
_CONNECT_SECONDS = 5.0
_DECLARE_SECONDS = 30.0


def declare_all(broker_url: str, prefix: str = "") -> None:
    """Declares every exchange and queue; what exists already stays as it is.

    Raises Unavailable (BROKER_UNAVAILABLE), and FailedPrecondition (QUEUE_MISMATCH) for a queue or
    exchange that exists with other arguments.
    """
    try:
        with Connection(broker_url, connect_timeout=_CONNECT_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1)
            with bounded(connection, _DECLARE_SECONDS):
                declare(connection, topology(prefix))
    except (OperationalError, OSError) as error:
        raise Unavailable(
            f"the message broker does not answer: {error}", reason="BROKER_UNAVAILABLE"
        ) from error


def declare(connection: Connection, table: Topology) -> None:
    """The same on a connection that is open. Raises FailedPrecondition (QUEUE_MISMATCH), and what
    the connection raises."""
    channel = connection.channel()
    try:
        for spec in table.exchanges:
            _checked(connection, "exchange", spec.name, kombu_exchange(spec)(channel).declare)
        for route in table.queues:
            queue = kombu_queue(route, table)(channel)
            _checked(connection, "queue", route.queue, queue.declare)
    finally:
        channel.close()


def kombu_exchange(spec: ExchangeSpec) -> Exchange:
    """For kombu and Celery."""
    return Exchange(spec.name, type=spec.kind, durable=True, arguments=dict(spec.arguments))


def kombu_queue(route: Route, table: Topology) -> Queue:
    """For kombu and Celery, which know it by its alias as well."""
    exchange = next(each for each in table.exchanges if each.name == route.exchange)
    return Queue(
        route.queue,
        kombu_exchange(exchange),
        routing_key=route.routing_key,
        queue_arguments=dict(route.arguments),
        consumer_arguments=dict(route.consuming),
        durable=True,
        alias=route.alias,
    )


def _checked(connection: Connection, kind: str, name: str, declare: Any) -> None:
    try:
        declare()
    except connection.channel_errors as error:
        if getattr(error, "reply_code", 0) != _PRECONDITION_FAILED:
            raise
        raise FailedPrecondition(
            f"the broker has {kind} '{name}' with other settings than this version declares: "
            f"{getattr(error, 'reply_text', error)}. Let its messages be worked off, stop its "
            f"users, delete it (rabbitmqctl delete_queue, or the management page) and start again",
            reason=QUEUE_MISMATCH,
            metadata={kind: name},
        ) from error
