"""Query photos while brokers and embedding workers are killed, stopped and fed nonsense."""

# mypy: disable-error-code="no-untyped-call"

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kombu.connection import Connection
from kombu.messaging import Producer

from services.core.adapters.query_embedder import QueueEmbedder
from services.core.adapters.query_wire import CONTENT_TYPE, write_answer, write_query
from services.core.domain.errors import DeadlineExceeded, Unavailable
from services.core.messages import EmbedQuery
from services.core.ports import QueryEmbedding
from services.core.runtime.child_process import Child
from services.core.runtime.declaring import kombu_queue
from services.core.runtime.topology import topology
from tests.contract.embedders import SmallModel, photo, queue_embedder, small_model
from tests.servers.query_worker import start_query_worker
from tests.servers.rabbitmq import RabbitMq
from tests.servers.scripted_worker import ScriptedWorker
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

SECONDS = 20.0
SLACK = 2.0  # of a busy machine, after a deadline


class Cluster:
    """Workers and gateways' ends of one queue; `end` stops them all."""

    def __init__(self, broker: RabbitMq, model: SmallModel, objects: Path) -> None:
        self.broker = broker
        self.model = model
        self.objects = objects
        self.prefix = f"{uuid.uuid4().hex[:8]}."
        self.opened = ExitStack()

    def worker(self) -> Child:
        model = self.model
        options = ("--prefix", self.prefix)
        child = start_query_worker(
            self.broker.url, self.objects, model.spec, model.weights, *options
        )
        self.opened.callback(child.stop)
        return child

    def embedder(self, **options: float) -> QueueEmbedder:
        made = queue_embedder(self.broker.url, self.objects, self.prefix, **options)
        self.opened.callback(made.close)
        return made

    async def embed(self, embedder: QueueEmbedder, seed: int, seconds: float = SECONDS) -> str:
        """The reason of its failure, "" for none; fails when that takes longer than allowed."""
        started = time.monotonic()
        try:
            await embedder.embed(photo(seed), self.model.spec.digest, seconds)
            return ""
        except (Unavailable, DeadlineExceeded) as error:
            return error.reason
        finally:
            assert time.monotonic() - started < seconds + SLACK


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[RabbitMq]:
    with RabbitMq(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def cluster(rabbitmq: RabbitMq, model: SmallModel, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(rabbitmq, model, tmp_path)
    with made.opened:
        yield made


@pytest.fixture
def mortal(own_broker: RabbitMq, model: SmallModel, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(own_broker, model, tmp_path)
    with made.opened:
        yield made


async def test_queries_fail_in_time_while_the_broker_is_gone_and_succeed_after(
    mortal: Cluster,
) -> None:
    mortal.worker()
    embedder = mortal.embedder()
    assert await mortal.embed(embedder, 0) == ""
    done: list[str] = []
    going = True

    async def ask(client: int) -> None:
        while going:
            done.append(await mortal.embed(embedder, client, 5.0))
            await asyncio.sleep(0.02)

    clients = [asyncio.create_task(ask(number)) for number in range(6)]
    await asyncio.to_thread(mortal.broker.kill)
    await asyncio.sleep(1.5)  # longer than the grace
    started = time.monotonic()
    assert await mortal.embed(embedder, 1) == "BROKER_UNAVAILABLE"
    assert time.monotonic() - started < SLACK
    await asyncio.to_thread(mortal.broker.start)
    deadline = time.monotonic() + 60
    while await mortal.embed(embedder, 2):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    going = False
    await asyncio.gather(*clients)
    assert set(done) <= {"", "BROKER_UNAVAILABLE", "DEADLINE_EXCEEDED", "NO_QUERY_WORKERS"}
    assert [await mortal.embed(embedder, seed) for seed in range(20)] == [""] * 20
    assert embedder.in_flight == 0


async def test_a_query_that_is_lost_with_the_broker_is_sent_again(mortal: Cluster) -> None:
    embedder = mortal.embedder(nobody_seconds=100.0)
    waiting = asyncio.create_task(mortal.embed(embedder, 1, 90.0))
    await asyncio.to_thread(eventually, lambda: messages(mortal) == 1, SECONDS, "it is queued")
    await asyncio.to_thread(mortal.broker.kill)
    await asyncio.to_thread(mortal.broker.start)
    table = topology(mortal.prefix)
    queue = kombu_queue(table.routes[EmbedQuery.QUEUE], table)
    answer = write_answer(Unavailable("it came", reason="IT_CAME"))
    with ScriptedWorker(mortal.broker.url, queue, lambda id_, _: [(id_, answer)]) as worker:
        assert await waiting == "IT_CAME"
    assert len(worker.seen) == 1


async def test_a_broker_that_never_was_there_is_reported_at_once_after_a_grace(
    model: SmallModel, tmp_path: Path
) -> None:
    embedder = queue_embedder("amqp://guest:guest@127.0.0.1:1//", tmp_path, grace=0.3)
    try:
        for _ in range(2):  # the first one waits for the grace
            started = time.monotonic()
            with pytest.raises(Unavailable, match="SHELFLENS_BROKER_URL") as caught:
                await embedder.embed(b"photo", model.spec.digest, SECONDS)
            assert caught.value.reason == "BROKER_UNAVAILABLE"
            assert time.monotonic() - started < 0.3 + SLACK
    finally:
        embedder.close()


async def test_what_a_killed_worker_had_in_hand_goes_to_another(cluster: Cluster) -> None:
    first = await asyncio.to_thread(cluster.worker)
    await asyncio.to_thread(cluster.worker)
    embedder = cluster.embedder()
    calls = [asyncio.create_task(cluster.embed(embedder, seed)) for seed in range(24)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    os.kill(first.process.pid, signal.SIGKILL)
    assert await asyncio.gather(*calls) == [""] * 24
    assert [await cluster.embed(embedder, seed) for seed in range(8)] == [""] * 8


async def test_a_frozen_worker_costs_its_queries_their_time_and_no_more(cluster: Cluster) -> None:
    frozen = await asyncio.to_thread(cluster.worker)
    embedder = cluster.embedder()
    assert await cluster.embed(embedder, 0) == ""
    os.kill(frozen.process.pid, signal.SIGSTOP)
    try:
        assert await cluster.embed(embedder, 1, 1.5) == "DEADLINE_EXCEEDED"
    finally:
        os.kill(frozen.process.pid, signal.SIGCONT)
    assert await cluster.embed(embedder, 2) == ""


async def test_a_worker_that_is_told_to_stop_answers_what_it_has(cluster: Cluster) -> None:
    first = await asyncio.to_thread(cluster.worker)
    await asyncio.to_thread(cluster.worker)  # takes what the other leaves
    embedder = cluster.embedder()
    calls = [asyncio.create_task(cluster.embed(embedder, seed)) for seed in range(24)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    os.kill(first.process.pid, signal.SIGTERM)
    assert await asyncio.gather(*calls) == [""] * 24
    assert await asyncio.to_thread(first.process.wait, SECONDS) == 0


async def test_nonsense_in_the_queue_is_dropped_and_the_next_query_answered(
    cluster: Cluster,
) -> None:
    await asyncio.to_thread(cluster.worker)
    embedder = cluster.embedder()
    await asyncio.to_thread(publish_nonsense, cluster)
    assert await cluster.embed(embedder, 1) == ""
    assert await asyncio.to_thread(messages, cluster) == 0
    assert await asyncio.to_thread(messages, cluster, dead=True) == 0


async def test_a_large_photo_is_embedded_like_a_small_one(cluster: Cluster) -> None:
    await asyncio.to_thread(cluster.worker)
    embedder = cluster.embedder()
    large = photo(5, 2_400)
    assert len(large) > 1 << 20
    found = await embedder.embed(large, cluster.model.spec.digest, SECONDS)
    assert isinstance(found, QueryEmbedding)
    assert found.timings_ms.keys() == {"decode", "embed", "queue"}


def messages(cluster: Cluster, dead: bool = False) -> int:
    """How many lie in the queue of queries, or among the dead."""
    table = topology(cluster.prefix)
    route = table.dead if dead else table.routes[EmbedQuery.QUEUE]
    with Connection(cluster.broker.url) as connection:
        try:
            found = connection.channel().queue_declare(queue=route.queue, passive=True)
        except connection.channel_errors:
            return 0
        return int(found.message_count)


def publish_nonsense(cluster: Cluster) -> None:
    message = EmbedQuery(
        id="x", operation="", revision=0, model_digest="d", expires=time.time() + 60
    )
    elsewhere = EmbedQuery(**{**message.to_json(), "object": "images/secret"})
    old = EmbedQuery(**{**message.to_json(), "expires": time.time() - 1})
    bodies = [b"", b"\xff" * 100, b"{}", write_query(message, b"no photo"),
              write_query(elsewhere, b""), write_query(old, b""), bytes(2 << 20)]  # fmt: skip
    headers = {"task": EmbedQuery.TASK, "id": "x"}
    route = topology(cluster.prefix).routes[EmbedQuery.QUEUE]
    with Connection(cluster.broker.url) as connection:
        producer = Producer(connection.channel())
        for body in bodies:
            for kind in (CONTENT_TYPE, "application/json", "application/x-python-serialize"):
                for each in (headers, {"task": "os.system", "id": "x"}, {}, {"task": 5, "id": 5},
                             headers | {"compression": "zlib"},
                             headers | {"eta": "2099-01-01T00:00:00"}):  # fmt: skip
                    for reply_to in ("", route.queue):
                        producer.publish(
                            body, exchange=route.exchange, routing_key=route.routing_key,
                            headers=each, reply_to=reply_to,
                            content_type=kind, content_encoding="binary", correlation_id="x",
                        )  # fmt: skip
