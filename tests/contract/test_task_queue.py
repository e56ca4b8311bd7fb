"""What every TaskQueue promises: Celery over the broker in memory and over RabbitMQ."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from services.core.adapters.celery_queue import CeleryQueue, QueueApp
from services.core.domain.errors import InvalidArgument
from services.core.messages import QUEUES, DropCollection, EmbedShard, IngestShard, Message, Report
from services.core.runtime.celery_app import make_app
from services.core.runtime.worker import RunningWorker, register, start_worker

BROKERS = ("memory", pytest.param("rabbitmq", marks=pytest.mark.servers))
SECONDS = 20.0


class Rig:
    """An installation of its own with a queue to it and workers that collect what they get."""

    def __init__(self, url: str, prefix: str) -> None:
        self.url = url
        self.prefix = prefix
        self.queue = CeleryQueue(self.app())
        self.workers: list[RunningWorker] = []
        self.received: list[Message] = []
        self._changed = threading.Condition()

    def app(self, queues: Sequence[str] = QUEUES) -> QueueApp:
        return make_app(self.url, queues, self.prefix)

    def consume(self, *kinds: type[Message]) -> None:
        app = self.app()
        register(app, dict.fromkeys(kinds, self._take), lambda report: None)
        queues = sorted({kind.QUEUE for kind in kinds})
        self.workers.append(start_worker(app, queues, 2, f"w{len(self.workers)}"))

    def wait_for(self, count: int) -> list[Message]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, SECONDS)
            return list(self.received)

    def _take(self, message: Message) -> None:
        with self._changed:
            self.received.append(message)
            self._changed.notify_all()


@pytest.fixture(params=BROKERS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    unique = uuid.uuid4().hex
    broker = request.getfixturevalue("rabbitmq") if request.param == "rabbitmq" else None
    made = Rig(broker.url if broker else f"memory://{unique}/", f"{unique[:8]}.")
    yield made
    for each in made.workers:
        each.begin_stop()
    assert all(each.stop(SECONDS) for each in made.workers)
    made.queue.close()
    if broker:
        broker.delete(made.prefix)


def shard(number: int = 0) -> IngestShard:
    return IngestShard(
        id=f"s{number}", operation="o", revision=7, traceparent="00-a-b-01",
        sequence=number, manifest="manifests/ä", offset=1 << 40, length=2, first_row=3,
        accepted="a", rejected="r",
    )  # fmt: skip


def report() -> Report:
    return Report(
        id="s", operation="o", revision=1, task="ingestion.shard",
        outcome={"rows_read": 3, "text": "ä🛒"}, elapsed_ms=1.5,
    )  # fmt: skip


def test_a_message_arrives_as_it_was_published(rig: Rig) -> None:
    rig.consume(IngestShard, Report)
    rig.queue.publish(shard())
    assert rig.wait_for(1) == [shard()]
    rig.queue.publish(report())
    assert rig.wait_for(2)[1] == report()


def test_messages_wait_for_workers_that_start_later(rig: Rig) -> None:
    for number in range(5):
        rig.queue.publish(shard(number))
    rig.consume(IngestShard)
    assert Counter(rig.wait_for(5)) == Counter(shard(number) for number in range(5))


def test_messages_of_one_queue_reach_the_task_that_they_name(rig: Rig) -> None:
    rig.consume(IngestShard)
    embed = EmbedShard(
        id="e", operation="o", revision=1, sequence=0, embedders=("m",),
        sha256s=("a", "b"), embeddings=("e",),
    )  # fmt: skip
    drop = DropCollection(id="d", operation="o", revision=1, sequence=0, collection="c")
    rig.consume(EmbedShard, DropCollection)
    for each in (embed, drop, shard()):
        rig.queue.publish(each)
    assert {type(each) for each in rig.wait_for(3)} == {EmbedShard, DropCollection, IngestShard}


def test_eight_threads_publish_through_one_queue_and_nothing_is_lost(rig: Rig) -> None:
    # Consumers start meanwhile, so that the first use of the queues is contended as well.
    def publish(first: int) -> None:
        for number in range(first, first + 50):
            rig.queue.publish(shard(number))

    threads = [threading.Thread(target=publish, args=(50 * each,)) for each in range(8)]
    for each in threads:
        each.start()
    rig.consume(IngestShard)
    for each in threads:
        each.join()
    assert Counter(rig.wait_for(400)) == Counter(shard(number) for number in range(400))


def test_a_queue_that_the_application_does_not_know_is_refused(rig: Rig) -> None:
    queue = CeleryQueue(rig.app(["control"]))
    queue.publish(report())
    with pytest.raises(InvalidArgument) as caught:
        queue.publish(shard())
    assert caught.value.reason == "UNKNOWN_QUEUE"
