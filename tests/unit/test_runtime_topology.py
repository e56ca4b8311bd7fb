"""The table of queues: what RabbitMQ needs to keep every message, read from the table alone."""

import pytest

from services.core.evaluation_messages import EvaluateModel
from services.core.messages import QUEUES, EmbedQuery
from services.core.runtime.declaring import kombu_queue
from services.core.runtime.topology import DELAYS, Route, topology

TABLE = topology("shop.")
WORK = [TABLE.routes[name] for name in QUEUES if name != EmbedQuery.QUEUE]
QUERY = TABLE.routes[EmbedQuery.QUEUE]


def test_every_queue_of_the_messages_has_a_route() -> None:
    assert set(TABLE.routes) == set(QUEUES)
    assert {route.alias for route in TABLE.routes.values()} == set(QUEUES)


@pytest.mark.parametrize("route", [*WORK, *TABLE.delays.values(), TABLE.dead], ids=str)
def test_work_is_kept_in_quorum_queues_that_refuse_rather_than_drop(route: Route) -> None:
    assert route.persistent
    assert route.arguments["x-queue-type"] == "quorum"
    assert route.arguments["x-overflow"] == "reject-publish"
    assert route.arguments["x-max-length"] > 0


@pytest.mark.parametrize("route", WORK, ids=str)
def test_work_that_dies_goes_to_the_dead_and_names_its_queue(route: Route) -> None:
    assert route.arguments["x-dead-letter-exchange"] == TABLE.dead.exchange
    assert route.arguments["x-dead-letter-routing-key"] == route.queue
    assert route.arguments["x-dead-letter-strategy"] == "at-least-once"
    assert route.arguments["x-delivery-limit"] > 0


def test_the_dead_do_not_die_again() -> None:
    assert "x-dead-letter-exchange" not in TABLE.dead.arguments
    assert "x-message-ttl" not in TABLE.dead.arguments
    assert "x-delivery-limit" not in TABLE.dead.arguments


def test_photos_of_users_are_neither_kept_nor_buried() -> None:
    assert not QUERY.persistent
    assert QUERY.arguments["x-message-ttl"] <= 10_000
    assert QUERY.arguments["x-max-length"] > 0
    assert "x-dead-letter-exchange" not in QUERY.arguments
    (exchange,) = [each for each in TABLE.exchanges if each.name == QUERY.exchange]
    assert "alternate-exchange" not in exchange.arguments


def test_what_no_queue_takes_goes_to_the_dead() -> None:
    leading = {route.exchange for route in (*WORK, *TABLE.delays.values())}
    found = {each.name: each.arguments for each in TABLE.exchanges if each.name in leading}
    assert set(found) == leading
    assert all(each["alternate-exchange"] == TABLE.dead.exchange for each in found.values())


@pytest.mark.parametrize(
    ("seconds", "level"), [(0.0, 0.5), (0.5, 0.5), (0.6, 1.0), (30.0, 32.0), (1e9, DELAYS[-1])]
)
def test_a_repeat_waits_at_least_as_long_as_it_should(seconds: float, level: float) -> None:
    route = TABLE.delay(seconds)
    assert route.arguments["x-message-ttl"] == 1000 * level
    assert route.arguments["x-dead-letter-exchange"] == "shop.shelflens"


def test_an_evaluation_may_take_longer_than_the_broker_lends_other_messages() -> None:
    route = TABLE.routes[EvaluateModel.QUEUE]
    assert route.consuming == {"x-consumer-timeout": 10_800_000}
    declared = kombu_queue(route, TABLE).as_dict()  # type: ignore[no-untyped-call]
    assert declared["consumer_arguments"] == route.consuming
    # An argument of the queue would refuse every installation that has the queue already.
    assert "x-consumer-timeout" not in route.arguments
    others = [each for each in TABLE.queues if each is not route]
    assert not any(each.consuming for each in others)


def test_installations_share_nothing() -> None:
    ours, theirs = topology("a."), topology("b.")
    assert not {each.queue for each in ours.queues} & {each.queue for each in theirs.queues}
    assert not {each.name for each in ours.exchanges} & {each.name for each in theirs.exchanges}
    assert all(each.startswith("a.") for route in ours.queues for each in (route.queue,))
