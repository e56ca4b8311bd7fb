"""What the message faults of the chaos suite leave in the queues of a broker."""

# mypy: disable-error-code="no-untyped-call,attr-defined"

import json
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from kombu import Connection

from services.core.adapters.celery_queue import CeleryQueue
from services.core.messages import IndexShard
from services.core.runtime.celery_app import make_app
from services.core.runtime.declaring import declare_all
from tests.chaos.message_faults import MARK, Poison, depths, poison, repeat_and_shuffle
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import eventually

pytestmark = pytest.mark.servers

DEAD = "dead"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    """One of its own: these queues have the names that every installation uses."""
    with RabbitMq(tmp_path_factory.mktemp("chaos-broker")) as running:
        declare_all(running.url)
        yield running


def test_every_waiting_message_is_there_three_times_in_another_order(broker: RabbitMq) -> None:
    queue = CeleryQueue(make_app(broker.url))
    for number in range(10):
        queue.publish(_message(number))
    queue.close()
    assert repeat_and_shuffle(broker, "index", random.Random(1)) == 10
    ids = [json.loads(each.body)[1]["message"]["id"] for each in _taken(broker, "index")]
    assert Counter(ids) == {_message(number).id: 3 for number in range(10)}
    assert ids[:10] != sorted(ids)[:10]


@pytest.mark.parametrize("kind", [each for each in Poison if each is not Poison.UNROUTABLE])
def test_poison_arrives_with_its_mark(broker: RabbitMq, kind: Poison) -> None:
    poison(broker, "embed.bulk", kind, "m1")
    (message,) = eventually(lambda: _taken(broker, "embed.bulk"), 10, "the poison is there")
    assert message.headers[MARK] == "m1"


def test_an_unroutable_message_becomes_a_dead_letter(broker: RabbitMq) -> None:
    poison(broker, "embed.bulk", Poison.UNROUTABLE, "m2")
    (message,) = eventually(lambda: _taken(broker, DEAD), 10, "the message is there")
    assert message.headers[MARK] == "m2"
    assert set(depths(broker).values()) == {0}


def _message(number: int) -> IndexShard:
    return IndexShard(
        id=f"o/{number}/index/0",
        operation="o",
        revision=1,
        sequence=number,
        collection="c",
        dimension=4,
        distance="cosine",
        plan="p",
    )


def _taken(broker: RabbitMq, queue: str) -> list:  # type: ignore[type-arg]
    with Connection(broker.url) as connection, connection.channel() as channel:
        found = []
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            found.append(message)
        return found
