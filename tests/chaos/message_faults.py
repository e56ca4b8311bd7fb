"""Faults of messages, by plain kombu: what a broker, an operator or a stranger may do to queues."""

# mypy: disable-error-code="no-untyped-call,attr-defined"

import json
import pickle
import random
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from kombu import Connection
from kombu.messaging import Producer

from services.core.adapters.celery_queue import task_headers
from services.core.messages import MESSAGES
from services.core.runtime.topology import EXCHANGE, ROUTES, topology
from tests.servers.rabbitmq import RabbitMq

MARK = "x-chaos"  # header of what was put there by us
MANY_BYTES = 4_500_000
_SECONDS = 10.0
_COPIES = 3
# Headers that RabbitMQ sets anew.
_BROKERS_OWN = frozenset({"x-delivery-count", "x-acquired-count"})


class Poison(StrEnum):
    """Messages that no worker can take."""

    BAD_JSON = "bad-json"
    UNKNOWN_TASK = "unknown-task"
    WRONG_SCHEMA = "wrong-schema"
    PICKLED = "pickled"
    LARGE = "large"
    UNROUTABLE = "unroutable"


def repeat_and_shuffle(broker: RabbitMq, queue: str, rng: random.Random) -> int:
    """Takes the waiting messages off a work queue and puts three copies of each back, in another
    order. Returns how many were taken; a crash in between repeats them once more."""
    with _channel(broker) as channel:
        taken = []
        while (message := channel.basic_get(queue)) is not None:
            taken.append(message)
        copies = [each for each in taken for _ in range(_COPIES)]
        rng.shuffle(copies)
        for each in copies:
            _publish_copy(channel, each)
        for each in taken:
            channel.basic_ack(each.delivery_tag)
        return len(taken)


def poison(broker: RabbitMq, queue: str, kind: Poison, mark: str) -> None:
    """Publishes one message that carries `mark` in the header MARK to a work queue."""
    good = {"id": "x/0/x/0", "operation": "x", "revision": 1}
    body: bytes = _body(good | {"schema": 1})
    content_type, key, name = "application/json", ROUTES[queue].routing_key, "chaos.task"
    match kind:
        case Poison.BAD_JSON:
            body = b'[[], {"message": {'
        case Poison.WRONG_SCHEMA:
            body, name = _body(good | {"schema": 99}), _task(queue)
        case Poison.PICKLED:
            body, content_type = pickle.dumps([[], good, {}]), "application/x-python-serialize"
        case Poison.LARGE:
            body = _body(good | {"schema": 1, "padding": "x" * MANY_BYTES})
        case Poison.UNROUTABLE:
            key = f"nowhere.{mark}"
        case Poison.UNKNOWN_TASK:
            pass
    with _channel(broker) as channel:
        Producer(channel, auto_declare=False).publish(
            body,
            exchange=EXCHANGE,
            routing_key=key,
            headers=_headers(name) | {MARK: mark},
            content_type=content_type,
            content_encoding="utf-8" if content_type == "application/json" else "binary",
            delivery_mode=2,
            confirm_timeout=_SECONDS,
        )


def depths(broker: RabbitMq) -> dict[str, int]:
    """How many messages wait in every declared queue. Those that workers hold do not count."""
    with _channel(broker) as channel:
        found = {}
        for route in topology().queues:
            found[route.queue] = channel.queue_declare(route.queue, passive=True).message_count
        return found


def _task(queue: str) -> str:
    return next(each.TASK for each in MESSAGES if queue == each.QUEUE)


def _headers(task: str) -> dict[str, Any]:
    return task_headers(task, str(uuid.uuid4()))


def _body(message: Mapping[str, Any]) -> bytes:
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return json.dumps([[], {"message": message}, embed]).encode()


def _publish_copy(channel: Any, message: Any) -> None:
    properties = dict(message.properties)
    headers = dict(properties.pop("application_headers", None) or {})
    for name in ("content_type", "content_encoding", "delivery_mode"):
        properties.pop(name, None)
    Producer(channel, auto_declare=False).publish(
        message.body,
        exchange=message.delivery_info["exchange"],
        routing_key=message.delivery_info["routing_key"],
        headers={name: each for name, each in headers.items() if name not in _BROKERS_OWN},
        content_type=message.properties.get("content_type"),
        content_encoding=message.properties.get("content_encoding"),
        delivery_mode=2,
        confirm_timeout=_SECONDS,
        **properties,
    )


@contextmanager
def _channel(broker: RabbitMq) -> Iterator[Any]:
    options = {"confirm_publish": True}
    with (
        Connection(broker.url, transport_options=options, connect_timeout=_SECONDS) as connection,
        connection.channel() as channel,
    ):
        yield channel
