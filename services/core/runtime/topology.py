"""Where messages travel: one table of exchanges and queues, also for deployment files.

    publisher -> shelflens (topic) -> work queues -> workers
    worker, repeating later -> shelflens.after.N ms -> after.N ms -(time is up)-> shelflens
    refused, rejected, delivered too often, unroutable -> shelflens.dead -> dead
    gateway -> shelflens.query -> embed.query, which keeps nothing

A prefix in front of every name lets several installations share a broker.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.core.dead_letter_headers import DEAD_EXCHANGE, DEAD_QUEUE
from services.core.messages import QUEUES, EmbedQuery, FitLinear

EXCHANGE = "shelflens"
QUERY_EXCHANGE = "shelflens.query"
# Seconds that a repeat can wait: a queue each, because a queue expires in the order of arrival and
# a long wait at its head would hold up the short ones behind it.
DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
DELIVERY_LIMIT = 20  # returns to the queue, also by a lost connection, before a message is dead
QUERY_SECONDS = 10.0  # after that nobody waits for the answer to a photo
QUERY_LENGTH = 1_000
WORK_LENGTH = 100_000
# A message is lent to a consumer for 30 minutes, which an evaluation of many images may exceed.
LONG_MILLISECONDS = 3 * 60 * 60 * 1_000
DEAD_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class ExchangeSpec:
    """One exchange; `arguments` are RabbitMQ's."""

    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """One queue, durable, and how messages get there; `arguments` are RabbitMQ's.

    `alias` is the name without prefix. Of a queue that is not `persistent` nothing outlives the
    broker: publish to it with delivery mode 1. `consuming` are RabbitMQ's arguments of a consumer:
    unlike those of a queue, they may change while the queue exists.
    """

    alias: str
    queue: str
    exchange: str
    routing_key: str
    persistent: bool = True
    arguments: Mapping[str, Any] = field(default_factory=dict)
    consuming: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that is declared. `routes` holds by alias what services publish to and take from,
    `dead` and `delays` the rest."""

    prefix: str
    exchanges: tuple[ExchangeSpec, ...]
    routes: Mapping[str, Route]
    dead: Route
    delays: Mapping[float, Route]

    @property
    def queues(self) -> tuple[Route, ...]:
        """All queues, those that others refer to first."""
        return (self.dead, *self.delays.values(), *self.routes.values())

    def delay(self, seconds: float) -> Route:
        """Where a message waits for about `seconds`: at least so long if any queue does that."""
        level = next((each for each in DELAYS if each >= seconds), DELAYS[-1])
        return self.delays[level]


def topology(prefix: str = "", queues: Iterable[str] = QUEUES) -> Topology:
    """The table for an installation whose names start with `prefix`."""
    exchange, dead = prefix + EXCHANGE, prefix + DEAD_EXCHANGE
    # What no queue takes is kept for people, not dropped.
    alternate = {"alternate-exchange": dead}
    delays = {seconds: _delay(prefix, seconds) for seconds in DELAYS}
    exchanges = (
        ExchangeSpec(dead, "fanout"),
        ExchangeSpec(exchange, "topic", alternate),
        # Photos of users are never kept: publishers set `mandatory` and hear of what has no queue.
        ExchangeSpec(prefix + QUERY_EXCHANGE, "topic"),
        *(ExchangeSpec(each.exchange, "fanout", alternate) for each in delays.values()),
    )
    routes = {name: _work(prefix, name) for name in queues}
    if EmbedQuery.QUEUE in routes:
        routes[EmbedQuery.QUEUE] = _query(prefix)
    kept = Route(DEAD_QUEUE, prefix + DEAD_QUEUE, dead, "#", arguments=_quorum(DEAD_LENGTH))
    return Topology(prefix, exchanges, routes, kept, delays)


def _quorum(length: int) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-max-length": length,
        "x-overflow": "reject-publish",
    }


def _work(prefix: str, name: str) -> Route:
    arguments = _quorum(WORK_LENGTH) | {
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": prefix + DEAD_EXCHANGE,
        "x-dead-letter-routing-key": prefix + name,
        "x-dead-letter-strategy": "at-least-once",
    }
    consuming = {"x-consumer-timeout": LONG_MILLISECONDS} if name == FitLinear.QUEUE else {}
    return Route(
        name, prefix + name, prefix + EXCHANGE, prefix + name,
        arguments=arguments, consuming=consuming,
    )  # fmt: skip


def _delay(prefix: str, seconds: float) -> Route:
    """Messages keep their routing key, so that they come back to the queue they are for."""
    name = f"after.{int(seconds * 1000)}"
    arguments = _quorum(WORK_LENGTH) | {
        "x-message-ttl": int(seconds * 1000),
        "x-dead-letter-exchange": prefix + EXCHANGE,
        "x-dead-letter-strategy": "at-least-once",
    }
    exchange = f"{prefix}{EXCHANGE}.{name}"
    return Route(name, f"{prefix}{EXCHANGE}.{name}", exchange, "#", arguments=arguments)


def _query(prefix: str) -> Route:
    name = EmbedQuery.QUEUE
    arguments = {
        "x-queue-type": "classic",
        "x-message-ttl": int(QUERY_SECONDS * 1000),
        "x-max-length": QUERY_LENGTH,
        "x-overflow": "reject-publish",
    }
    return Route(name, prefix + name, prefix + QUERY_EXCHANGE, prefix + name, False, arguments)


ROUTES: Mapping[str, Route] = topology().routes
