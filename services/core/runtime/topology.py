"""Where messages travel: one table from queue names to exchanges, routing keys and arguments."""

# mypy: disable-error-code="no-untyped-call"

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kombu.entity import Exchange, Queue

from services.core.messages import QUEUES

EXCHANGE = "shelflens"


@dataclass(frozen=True, slots=True)
class Route:
    """One queue. Exchanges are topics: quorum queues delay messages on no direct exchange."""

    queue: str
    exchange: str
    routing_key: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


ROUTES: Mapping[str, Route] = {name: Route(name, EXCHANGE, name) for name in QUEUES}


def declarations(queues: Iterable[str]) -> list[Queue]:
    """The declarations of `queues`; a name outside the table is routed by itself."""
    routes = [ROUTES.get(name, Route(name, EXCHANGE, name)) for name in queues]
    return [
        Queue(
            route.queue,
            Exchange(route.exchange, type="topic", durable=True),
            routing_key=route.routing_key,
            queue_arguments=dict(route.arguments) or None,
            durable=True,
        )
        for route in routes
    ]
