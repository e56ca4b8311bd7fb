"""Query photos through RabbitMQ when answers are late, wrong or missing."""

# mypy: disable-error-code="no-untyped-call"

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from services.core.adapters.file_objects import FileObjects
from services.core.adapters.query_embedder import QueueEmbedder
from services.core.adapters.query_wire import QUERY_PREFIX, read_query, write_answer
from services.core.domain.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    ShelflensError,
    Unavailable,
)
from services.core.ports import QueryEmbedding
from tests.servers.rabbitmq import RabbitMq
from tests.servers.scripted_worker import Answers, ScriptedWorker
from tests.waiting import eventually

pytestmark = pytest.mark.servers

SECONDS = 20.0
DIGEST = "ab" * 32
GOOD = write_answer(QueryEmbedding(np.array([0.6, 0.8], np.float32), 2.5, {"decode": 1.0}))
GARBAGE = {
    "nothing": b"",
    "noise": b"\xff" * 40,
    "a length beyond the end": (1 << 31).to_bytes(4, "big") + b"{}",
    "no object": (2).to_bytes(4, "big") + b"[]" + bytes(8),
    "no norm": (2).to_bytes(4, "big") + b"{}" + bytes(8),
    "half a number": GOOD[:-1],
    "no number": GOOD[:-4] + np.float32(np.nan).tobytes(),
    "deep": (200_000).to_bytes(4, "big") + b"[" * 200_000,
    "an error of no kind": write_answer(Unavailable("x")).replace(b"Unavailable", b"SystemExit!"),
    "a pickle": b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.",
}


@pytest.fixture
def queue() -> Queue:
    name = f"q{uuid.uuid4().hex}"
    exchange = Exchange(name, type="topic", durable=False)
    arguments = {"x-max-length": 3, "x-overflow": "reject-publish"}
    return Queue(name, exchange, routing_key=name, durable=False, queue_arguments=arguments)


@pytest.fixture
def embedder(rabbitmq: RabbitMq, queue: Queue, tmp_path: Path) -> Iterator[QueueEmbedder]:
    made = QueueEmbedder(rabbitmq.url, queue, FileObjects(tmp_path), in_flight=8)
    yield made
    made.close()


@pytest.fixture
def patient(rabbitmq: RabbitMq, queue: Queue, tmp_path: Path) -> Iterator[QueueEmbedder]:
    made = QueueEmbedder(rabbitmq.url, queue, FileObjects(tmp_path), nobody_seconds=SECONDS)
    yield made
    made.close()


async def until(look: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(eventually, look, SECONDS, what)


def waiting_in(rabbitmq: RabbitMq, queue: Queue) -> int | None:
    """Messages that lie in the queue, None while there is no such queue."""
    with Connection(rabbitmq.url) as connection:
        try:
            return int(queue(connection.channel()).queue_declare(passive=True).message_count)
        except connection.channel_errors:
            return None


async def test_without_a_worker_a_query_fails_early_and_says_what_to_start(
    embedder: QueueEmbedder,
) -> None:
    started = time.monotonic()
    with pytest.raises(Unavailable, match="--queue query") as caught:
        await embedder.embed(b"photo", DIGEST, SECONDS)
    assert caught.value.reason == "NO_QUERY_WORKERS"
    assert time.monotonic() - started < SECONDS / 2
    assert embedder.in_flight == 0


async def test_a_worker_that_comes_in_time_answers_what_waits(
    patient: QueueEmbedder, rabbitmq: RabbitMq, queue: Queue
) -> None:
    early = asyncio.create_task(patient.embed(b"photo", DIGEST, SECONDS))
    await until(lambda: waiting_in(rabbitmq, queue) == 1, "the query is in the queue")
    with ScriptedWorker(rabbitmq.url, queue, lambda id_, _: [(id_, GOOD)]):
        assert (await early).norm == 2.5


async def test_a_query_that_nobody_takes_in_time_leaves_the_queue(
    embedder: QueueEmbedder, rabbitmq: RabbitMq, queue: Queue
) -> None:
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            await embedder.embed(b"photo", DIGEST, 0.5)
    await until(lambda: waiting_in(rabbitmq, queue) == 0, "expired queries are gone")
    with ScriptedWorker(rabbitmq.url, queue, lambda id_, _: [(id_, GOOD)]) as worker:
        await embedder.embed(b"photo", DIGEST, SECONDS)
    assert len(worker.seen) == 1


async def test_a_full_queue_is_told_at_once(embedder: QueueEmbedder) -> None:
    async def embed() -> ShelflensError:
        with pytest.raises(ShelflensError) as caught:
            await embedder.embed(b"photo", DIGEST, SECONDS)
        return caught.value

    results = await asyncio.gather(*(embed() for _ in range(5)))
    reasons = sorted(each.reason for each in results)
    assert reasons == ["NO_QUERY_WORKERS"] * 3 + ["QUEUE_FULL"] * 2
    assert sum(isinstance(each, ResourceExhausted) for each in results) == 2


async def test_no_more_than_the_bound_are_in_flight(embedder: QueueEmbedder) -> None:
    calls = [asyncio.create_task(embedder.embed(b"photo", DIGEST, SECONDS)) for _ in range(9)]
    await asyncio.sleep(0)
    assert embedder.in_flight == 8
    with pytest.raises(ResourceExhausted) as caught:
        await calls[8]
    assert caught.value.reason == "TOO_MANY_QUERIES"
    for each in calls:
        each.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert embedder.in_flight == 0


@pytest.mark.parametrize("kind", sorted(GARBAGE))
async def test_an_answer_that_cannot_be_read_fails_its_own_query_only(
    embedder: QueueEmbedder, rabbitmq: RabbitMq, queue: Queue, kind: str
) -> None:
    def answers(id_: str, body: bytes) -> list[tuple[str, bytes]]:
        return [(id_, GARBAGE[kind] if read_query(body)[1] == b"bad" else GOOD)]

    with ScriptedWorker(rabbitmq.url, queue, answers):
        good, bad, other = await asyncio.gather(
            *(embedder.embed(each, DIGEST, SECONDS) for each in (b"good", b"bad", b"good")),
            return_exceptions=True,
        )
    assert isinstance(bad, Unavailable)
    assert bad.reason == "BAD_ANSWER"
    for each in (good, other):
        assert isinstance(each, QueryEmbedding)
        assert each.embedding.tolist() == pytest.approx([0.6, 0.8])


async def test_a_worker_that_cannot_explain_yet_is_told_by_its_answer(
    embedder: QueueEmbedder, rabbitmq: RabbitMq, queue: Queue
) -> None:
    with (
        ScriptedWorker(rabbitmq.url, queue, lambda id_, _: [(id_, GOOD)]),
        pytest.raises(Unavailable, match="workers and gateways of one version") as caught,
    ):
        await embedder.explain(b"photo", [DIGEST], DIGEST, SECONDS)
    assert caught.value.reason == "BAD_ANSWER"


async def test_answers_for_others_and_repeated_ones_are_dropped(
    embedder: QueueEmbedder, rabbitmq: RabbitMq, queue: Queue
) -> None:
    wrong = write_answer(FailedPrecondition("not for you"))

    def answers(id_: str, body: bytes) -> list[tuple[str, bytes]]:
        return [("", wrong), ("f" * 32, wrong), (id_, GOOD), (id_, wrong)]

    with ScriptedWorker(rabbitmq.url, queue, answers):
        for _ in range(3):
            assert (await embedder.embed(b"photo", DIGEST, SECONDS)).norm == 2.5


async def test_a_late_answer_is_not_taken_for_the_next_one(
    embedder: QueueEmbedder, rabbitmq: RabbitMq, queue: Queue
) -> None:
    late = write_answer(QueryEmbedding(np.array([1, 0], np.float32), 1.0, {}))
    held: list[str] = []

    def answers(id_: str, body: bytes) -> list[tuple[str, bytes]]:
        if not held:
            held.append(id_)
            return []
        return [(held[0], late), (id_, GOOD)]

    with ScriptedWorker(rabbitmq.url, queue, answers):
        with pytest.raises(DeadlineExceeded):
            await embedder.embed(b"photo", DIGEST, 2.0)
        assert (await embedder.embed(b"photo", DIGEST, SECONDS)).norm == 2.5
    assert embedder.in_flight == 0


async def test_a_large_photo_travels_as_an_object_that_goes_with_its_call(
    embedder: QueueEmbedder, rabbitmq: RabbitMq, queue: Queue, tmp_path: Path
) -> None:
    objects = FileObjects(tmp_path)
    large = bytes(range(256)) * 5_000
    seen: list[bytes] = []

    def answers(id_: str, body: bytes) -> list[tuple[str, bytes]]:
        message, photo = read_query(body)
        assert photo == b""
        assert message.object == QUERY_PREFIX + message.id
        seen.append(objects.get(message.object))
        return [(id_, GOOD)] if len(seen) == 1 else []

    with ScriptedWorker(rabbitmq.url, queue, answers):
        await embedder.embed(large, DIGEST, SECONDS)
        with pytest.raises(DeadlineExceeded):
            await embedder.embed(large, DIGEST, 3.0)
    assert seen == [large, large]
    await until(lambda: not list(objects.keys(QUERY_PREFIX)), "the objects are gone")


@pytest.mark.parametrize("error", [Unavailable("a"), FailedPrecondition("b", reason="NOT_NOW")])
async def test_an_error_of_the_worker_comes_back_as_it_was(
    embedder: QueueEmbedder, rabbitmq: RabbitMq, queue: Queue, error: ShelflensError
) -> None:
    error.metadata["model_digest"] = "ä"
    answers: Answers = lambda id_, _: [(id_, write_answer(error))]  # noqa: E731
    with ScriptedWorker(rabbitmq.url, queue, answers), pytest.raises(type(error)) as caught:
        await embedder.embed(b"photo", DIGEST, SECONDS)
    found = caught.value
    assert (type(found), found.message, found.reason) == (type(error), error.message, error.reason)
    assert found.metadata == {"model_digest": "ä"}
