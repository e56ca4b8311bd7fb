"""Worker processes that are stopped, killed and broken, over a real RabbitMQ."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from services.core.messages import EmbedSingle
from services.core.runtime.worker_process import EXIT_BROKEN, EXIT_UNFINISHED
from tests.integration.delivery_world import SECONDS, Delivery, drop
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import eventually

pytestmark = pytest.mark.servers


@pytest.fixture
def delivery(rabbitmq: RabbitMq, tmp_path: Path) -> Iterator[Delivery]:
    made = Delivery(rabbitmq, tmp_path)
    made.declare()
    yield made
    made.close()


def test_workers_killed_three_times_leave_nothing_undone(delivery: Delivery) -> None:
    names = {str(number) for number in range(120)}
    for name in sorted(names):
        delivery.publish(drop(name, "short"))
    for done in (15, 40, 70):
        worker = delivery.work(concurrency=2)
        eventually(partial(delivery.done, done), SECONDS, f"{done} are done")
        worker.kill()
        worker.wait(SECONDS)
    delivery.work(concurrency=2)
    eventually(lambda: set(delivery.seen("end")) == names, SECONDS, "all are done")
    eventually(lambda: delivery.waiting("control") >= 120, SECONDS, "all are reported")


def test_sigterm_lets_the_task_in_hand_end_once_and_leaves_the_rest(delivery: Delivery) -> None:
    worker = delivery.ready()
    for number in range(5):
        delivery.publish(drop(str(number), "wait"))
    eventually(lambda: len(delivery.seen("begin")) == 1, SECONDS, "one task has begun")
    worker.send_signal(signal.SIGTERM)
    eventually(lambda: "worker.draining" in delivery.worker_log(), SECONDS, "it drains")
    (delivery.folder / "go").touch()
    assert worker.wait(SECONDS) == 0
    in_hand = delivery.seen("end")
    assert in_hand.total() == 1
    assert eventually(lambda: delivery.waiting("index") == 4, SECONDS, "the rest is queued")
    assert delivery.waiting("control") == 1
    delivery.work()
    eventually(lambda: len(delivery.seen("end")) == 5, SECONDS, "another worker did the rest")
    assert delivery.seen("begin") == Counter({str(number): 1 for number in range(5)})


def test_a_worker_that_drains_shows_that_it_lives(delivery: Delivery) -> None:
    worker = delivery.ready(grace=60)
    delivery.publish(drop("long", "wait"))
    eventually(lambda: delivery.seen("begin")["long"], SECONDS, "the task has begun")
    worker.send_signal(signal.SIGINT)
    beat = delivery.folder / "heartbeat"
    eventually(beat.exists, SECONDS, "there is a heartbeat")
    before = beat.stat().st_mtime
    eventually(lambda: beat.stat().st_mtime > before, SECONDS, "it still shows that it lives")
    (delivery.folder / "go").touch()
    assert worker.wait(SECONDS) == 0
    assert delivery.waiting("index") == 0


def test_the_end_of_the_grace_period_gives_the_task_back(delivery: Delivery) -> None:
    worker = delivery.ready(grace=0.5)
    delivery.publish(drop("a", "wait"))
    eventually(lambda: delivery.seen("begin")["a"], SECONDS, "the task has begun")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SECONDS) == EXIT_UNFINISHED
    eventually(lambda: delivery.waiting("index") == 1, SECONDS, "the message is back")


def test_a_second_signal_ends_the_process_at_once(delivery: Delivery) -> None:
    worker = delivery.ready(grace=60)
    delivery.publish(drop("a", "wait"))
    eventually(lambda: delivery.seen("begin")["a"], SECONDS, "the task has begun")
    worker.send_signal(signal.SIGTERM)
    eventually(lambda: "worker.draining" in delivery.worker_log(), SECONDS, "it drains")
    started = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SECONDS) == EXIT_UNFINISHED
    assert time.monotonic() - started < 2
    eventually(lambda: delivery.waiting("index") == 1, SECONDS, "the message is back")


def test_an_idle_worker_stops_within_two_seconds(delivery: Delivery) -> None:
    worker = delivery.ready()
    started = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SECONDS) == 0
    assert time.monotonic() - started < 2


def test_a_broken_process_gives_its_message_back_and_exits(delivery: Delivery) -> None:
    worker = delivery.ready()
    delivery.publish(drop("a", "fatal"))
    delivery.publish(drop("b"))
    assert worker.wait(SECONDS) == EXIT_BROKEN
    eventually(lambda: delivery.waiting("index") == 2, SECONDS, "both messages are back")
    assert delivery.seen("begin") == Counter({"a": 1})


def test_a_worker_beside_another_breaks_the_process_too(delivery: Delivery) -> None:
    worker = delivery.work(threads="beside")
    delivery.publish(
        EmbedSingle(
            id="a", operation="o", revision=1, sequence=0, embedders=("m",),
            sha256s=(), embeddings=("e",),
        )
    )  # fmt: skip
    assert worker.wait(SECONDS) == EXIT_BROKEN
    eventually(lambda: delivery.waiting("embed.single") == 1, SECONDS, "the message is back")


def test_a_repeat_that_waits_survives_the_kill_of_its_worker(delivery: Delivery) -> None:
    worker = delivery.ready()
    delivery.publish(drop("a", "unavailable"))
    eventually(lambda: delivery.seen("begin")["a"] >= 2, SECONDS, "it was repeated")
    eventually(
        lambda: delivery.waiting("shelflens.after.1000") + delivery.waiting("shelflens.after.500"),
        SECONDS,
        "the repeat is with the broker",
    )
    worker.kill()
    worker.wait(SECONDS)
    (delivery.folder / "go").touch()
    delivery.work()
    eventually(lambda: delivery.seen("end")["a"], SECONDS, "the repeat is done")
    eventually(lambda: delivery.waiting("control") == 1, SECONDS, "it is reported once")
