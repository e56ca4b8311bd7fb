"""Messages that die on a real broker become letters, and letters become messages again."""

import base64
import datetime
import gzip
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.core import dead_letter_headers as headers
from services.core.adapters.system_clock import SystemClock
from services.core.dead_letter_headers import DEAD_QUEUE
from services.core.dead_letter_ports import PART_BYTES
from services.core.dead_letter_reading import DeadMessage
from services.core.domain import keys
from services.core.domain.errors import Unavailable
from services.core.messages import OperationAccepted
from services.core.runtime.topology import DELIVERY_LIMIT
from services.gateway.handlers.dead_letters import DeadLetters
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import Transactions
from tests.integration.dead_letter_world import SECONDS, SHARD, Crafted, DeadWorld, body_of, task
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import eventually

pytestmark = pytest.mark.servers
ACCEPTED = OperationAccepted(id="op", operation="op", revision=1)


@pytest.fixture
def world(rabbitmq: RabbitMq, tmp_path: Path) -> Iterator[DeadWorld]:
    made = DeadWorld(rabbitmq.url, tmp_path)
    yield made
    made.queue.close()
    made.records.close()


def test_a_rejected_message_is_recorded_whole_with_its_reason(world: DeadWorld) -> None:
    world.publish("embed.bulk", body_of(SHARD), **task(SHARD))
    world.reject("embed.bulk")
    with world.recording():
        (letter,) = world.recorded(1)
    assert (letter.reason, letter.queue, letter.routing_key) == (
        "REJECTED",
        "embed.bulk",
        "embed.bulk",
    )
    assert (letter.task, letter.operation, letter.message) == (SHARD.TASK, "op", SHARD.id)
    assert (letter.body, letter.content_type) == (body_of(SHARD), "application/json")
    assert (letter.headers["id"], letter.properties["correlation_id"]) == ("c1", "c1")
    assert world.reports == []


def test_a_message_that_workers_die_of_fails_its_shard(world: DeadWorld) -> None:
    world.publish("embed.bulk", body_of(SHARD), **task(SHARD))
    world.reject("embed.bulk", times=DELIVERY_LIMIT + 1, requeue=True)
    with world.recording():
        (letter,) = world.recorded(1)
    assert letter.reason == "DELIVERY_LIMIT"
    (report,) = world.reports
    assert (report.id, report.operation, report.task) == (SHARD.id, "op", SHARD.TASK)
    assert report.failure == "DELIVERY_LIMIT"


def test_what_no_queue_takes_is_recorded_as_unroutable(world: DeadWorld) -> None:
    world.publish("nowhere", b"{}", **task(SHARD))
    with world.recording():
        (letter,) = world.recorded(1)
    assert (letter.reason, letter.queue, letter.routing_key) == ("UNROUTABLE", "", "nowhere")


def test_what_a_worker_refused_says_why_and_is_never_unpickled(world: DeadWorld) -> None:
    body = pickle.dumps(Exploding())
    refusal = {
        headers.REASON: headers.CONTENT_TYPE_REFUSED,
        headers.QUEUE: world.prefix + "index",
        headers.DETAIL: "\x1b[31mred",
    }
    world.publish(
        "index",
        body,
        dead=True,
        content_type="application/x-python-serialize",
        content_encoding="binary",
        application_headers=refusal,
    )
    with world.recording():
        (letter,) = world.recorded(1)
    assert (letter.reason, letter.queue) == ("CONTENT_TYPE_REFUSED", "index")
    assert letter.detail == "\ufffd[31mred"
    assert letter.body == body


class Exploding:
    """Whoever unpickles it fails the test."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


def test_every_kind_of_poison_is_recorded_once(world: DeadWorld) -> None:
    odd = {
        "when": datetime.datetime(2026, 1, 1),
        "nested": {"a": [1, {"b": b"\xff\xfe"}]},
        "nothing": None,
        "zero\x00": "\x00",
        "x-death": "a text",
        headers.REASON: "not a reason",
    }
    bomb = gzip.compress(b"0" * 50_000_000)
    poison: list[tuple[bytes, dict[str, Any]]] = [
        (b"", {}),
        (b"\xff\xfe\x00", {"content_type": "application/json", "content_encoding": "utf-8"}),
        (b"[" * 200_000, dict(task(SHARD))),
        (b'"text"', {"content_type": "text/plain", "content_encoding": "idna"}),
        (b"{}", {"application_headers": odd}),
        (bomb, {**task(SHARD), "application_headers": {"compression": "gzip", "task": "x"}}),
        (b"x" * 4_000_000, dict(task(SHARD))),
    ]
    for body, properties in poison:
        world.publish("control", body, dead=True, **properties)
    with world.recording():
        letters = world.recorded(len(poison))
    assert sorted(each.size for each in letters) == sorted(len(body) for body, _ in poison)
    (strange,) = (each for each in letters if "nested" in each.headers)
    assert strange.headers["nested"] == {"a": [1, {"b": "base64://4="}]}
    assert strange.reason == "UNROUTABLE"
    (long,) = (each for each in letters if each.size == 4_000_000)
    assert len(long.body) == PART_BYTES
    assert world.objects.size(keys.dead_letter_key(long.message_digest)) == 4_000_000
    assert world.reports == []


@pytest.mark.parametrize(
    "raw",
    [
        # A header of a time beyond the calendar, and a content type that is no UTF-8.
        struct.pack(">HI", 1 << 13, 11) + b"\x01tT" + b"\xff" * 8,
        struct.pack(">H", 1 << 15) + b"\x02\xff\xfe",
    ],
)
def test_properties_that_cannot_be_read_stop_nobody(world: DeadWorld, raw: bytes) -> None:
    world.craft("x", Crafted(b"body", raw))
    world.publish("control", b"{}", dead=True)
    with world.recording():
        strange, plain = world.recorded(2)
    assert (strange.reason, strange.body) == ("UNDECODABLE", b"body")
    assert base64.b64decode(strange.headers[headers.UNREADABLE]) == raw
    assert plain.body == b"{}"


def test_a_connection_lost_between_record_and_acknowledgement_records_once(
    world: DeadWorld,
) -> None:
    plain = world.handle

    def and_lose_the_connection(message: DeadMessage) -> None:
        plain(message)
        if world.handled == 1:
            cut: Any = world.connections[-1]
            cut.collect()  # as when the process is killed here

    world.handle = and_lose_the_connection  # type: ignore[method-assign]
    world.publish("control", b"{}", dead=True)
    with world.recording():
        letters = world.recorded(2)
    assert (len(letters), world.handled) == (1, 2)


def test_a_message_stays_on_the_broker_while_the_records_are_away(world: DeadWorld) -> None:
    plain, tries = world.handle, []

    def at_the_third_try(message: DeadMessage) -> None:
        tries.append(message)
        if len(tries) < 3:
            raise Unavailable("the records do not answer")
        plain(message)

    world.handle = at_the_third_try  # type: ignore[method-assign]
    world.publish("control", b"{}", dead=True)
    with world.recording():
        assert len(world.recorded(1)) == 1
    assert len(tries) == 3


def test_a_storm_keeps_the_newest_letters_alone(rabbitmq: RabbitMq, tmp_path: Path) -> None:
    world = DeadWorld(rabbitmq.url, tmp_path, kept=5)
    bodies = [b"%d" % n + b"x" * (300_000 if n < 2 else 0) for n in range(12)]
    for body in bodies:
        world.publish("control", body, dead=True)
    with world.recording():
        letters = world.recorded(len(bodies))
    assert [each.body for each in letters] == bodies[-5:]
    assert list(world.objects.keys("deadletters/")) == []


def gateway(world: DeadWorld) -> tuple[DeadLetters, Threads]:
    threads = Threads(2, "test")
    transactions = Transactions(world.records, world.queue, SystemClock(), threads)
    return DeadLetters(transactions, world.objects, world.queue, threads), threads


async def test_a_retried_message_is_on_its_queue_as_it_was(world: DeadWorld) -> None:
    world.publish("control", body_of(ACCEPTED), **task(ACCEPTED))
    world.reject("control")
    with world.recording():
        (letter,) = world.recorded(1)
    handlers, threads = gateway(world)
    assert await handlers.retry(letter.id, force=False) == "control"
    got = world.take("control")
    assert got.body == body_of(ACCEPTED)
    found = got.properties
    assert (found["content_type"], found["correlation_id"]) == ("application/json", "c1")
    sent = dict(task(ACCEPTED)["application_headers"])
    assert found["application_headers"] == sent | {
        headers.RETRY_OF: letter.id,
        "x-delivery-count": 0,  # the broker's own
    }
    assert found["delivery_mode"] == 2
    with world.records.begin() as tx:
        assert tx.dead_letters.page("", 10) == []
    await threads.close()


async def test_a_retried_message_that_dies_again_is_another_letter(world: DeadWorld) -> None:
    world.publish("control", body_of(ACCEPTED), **task(ACCEPTED))
    world.reject("control")
    handlers, threads = gateway(world)
    with world.recording():
        (first,) = world.recorded(1)
        await handlers.retry(first.id, force=False)
        world.reject("control")
        (second,) = world.recorded(2)
    assert second.id != first.id
    assert second.message_digest != first.message_digest
    await threads.close()


async def test_a_dropped_letter_is_on_no_queue(world: DeadWorld) -> None:
    world.publish("control", body_of(ACCEPTED), **task(ACCEPTED))
    world.reject("control")
    handlers, threads = gateway(world)
    with world.recording():
        (letter,) = world.recorded(1)
        await handlers.delete(letter.id)
    assert (world.left("control"), world.left(DEAD_QUEUE)) == (0, 0)
    with world.records.begin() as tx:
        assert tx.dead_letters.page("", 10) == []
    await threads.close()


def test_a_recorder_starts_before_its_queue_does_and_stops_at_once(
    rabbitmq: RabbitMq, tmp_path: Path
) -> None:
    world = DeadWorld(rabbitmq.url, tmp_path)
    with world.app.connection_for_write() as connection:
        connection.default_channel.queue_delete(world.prefix + DEAD_QUEUE)
    with world.recording():
        eventually(lambda: len(world.connections) >= 2, SECONDS, "it has tried again")
        world.queue.publish(ACCEPTED)  # declares what is missing
        world.publish("control", b"{}", dead=True)
        assert len(world.recorded(1)) == 1
