"""A RabbitMQ that is killed, away or comes back empty."""

import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.adapters.celery_queue import CeleryQueue
from services.core.domain.errors import Unavailable
from tests.integration.delivery_world import SECONDS, Delivery, drop
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import eventually

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    with RabbitMq(tmp_path_factory.mktemp("fragile-rabbitmq")) as made:
        yield made


@pytest.fixture
def delivery(broker: RabbitMq, tmp_path: Path) -> Iterator[Delivery]:
    # One installation for all: RabbitMQ 3.10 does not get over a kill within the second in which
    # quorum queues are declared, nor when they are deleted soon after its start.
    made = Delivery(broker, tmp_path, "outages.")
    made.declare()
    broker.purge(made.prefix)
    yield made
    made.close(delete=False)


def test_every_confirmed_message_survives_the_kill_of_the_broker(delivery: Delivery) -> None:
    confirmed: list[str] = []
    stopped = threading.Event()

    def publish(sender: int) -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            name = f"{sender}-{number}"
            try:
                delivery.publish(drop(name))
            except Unavailable:
                continue
            confirmed.append(name)
            time.sleep(0.002)

    delivery.work(concurrency=2)
    senders = [threading.Thread(target=publish, args=(each,)) for each in range(3)]
    for each in senders:
        each.start()
    eventually(lambda: len(delivery.seen("end")) > 50, SECONDS, "work is under way")
    delivery.broker.kill()
    before = len(confirmed)
    delivery.broker.start()
    eventually(lambda: len(confirmed) > before + 50, SECONDS, "publishing goes on")
    stopped.set()
    for each in senders:
        each.join()
    eventually(
        lambda: set(confirmed) <= set(delivery.seen("end")),
        SECONDS,
        "what was confirmed is done",
    )
    assert delivery.waiting("dead") == 0


def test_without_a_broker_publishing_fails_in_time_and_works_when_it_is_back(
    delivery: Delivery,
) -> None:
    queue = CeleryQueue(delivery.app, publish_timeout=1.0)
    queue.publish(drop("before"))
    delivery.broker.kill()
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        queue.publish(drop("lost"))
    assert caught.value.reason == "BROKER_UNAVAILABLE"
    assert time.monotonic() - started < 2
    delivery.broker.start()
    queue.publish(drop("after"))
    assert delivery.waiting("index") == 2
    queue.close()


def test_a_broker_that_does_not_answer_is_given_up_in_time(delivery: Delivery) -> None:
    queue = CeleryQueue(delivery.app, publish_timeout=1.0)
    queue.publish(drop("before"))
    delivery.broker.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            queue.publish(drop("held"))
        assert caught.value.reason == "BROKER_UNAVAILABLE"
        assert time.monotonic() - started < 3
    finally:
        delivery.broker.send_signal(signal.SIGCONT)
    eventually(lambda: delivery.waiting("index") >= 1, SECONDS, "the broker answers again")
    queue.publish(drop("after"))
    queue.close()


def test_a_worker_that_starts_before_the_broker_waits_for_it(delivery: Delivery) -> None:
    delivery.broker.stop()
    worker = delivery.work()
    eventually(lambda: "broker.unreachable" in delivery.worker_log(), SECONDS, "it tries")
    assert not (delivery.folder / "heartbeat").exists()
    delivery.broker.start()
    delivery.publish(drop("a"))
    eventually(lambda: delivery.seen("end")["a"], SECONDS, "the message is done")
    eventually((delivery.folder / "heartbeat").exists, SECONDS, "the heartbeat shows it")
    delivery.broker.kill()
    worker.send_signal(signal.SIGTERM)  # without a broker as well
    assert worker.wait(SECONDS) == 0
    delivery.broker.start()


def test_a_result_waits_for_the_broker_and_the_work_is_not_repeated_for_it(
    delivery: Delivery,
) -> None:
    delivery.ready()
    delivery.publish(drop("a", "wait"))
    eventually(lambda: delivery.seen("begin")["a"], SECONDS, "the task has begun")
    delivery.broker.kill()
    (delivery.folder / "go").touch()
    eventually(lambda: delivery.seen("end")["a"], SECONDS, "the work is done")
    delivery.broker.start()
    eventually(lambda: delivery.waiting("control") >= 1, SECONDS, "the result is reported")


def test_a_broker_that_came_back_empty_is_told_of_the_queues_again(delivery: Delivery) -> None:
    worker = delivery.ready()
    delivery.publish(drop("before"))
    eventually(lambda: delivery.seen("end")["before"], SECONDS, "the first message is done")
    delivery.broker.kill()
    shutil.rmtree(delivery.broker.folder / "mnesia")
    delivery.broker.start()
    delivery.publish(drop("after"))
    eventually(lambda: delivery.seen("end")["after"], SECONDS, "the second message is done")
    assert worker.poll() is None
