"""What a real worker refuses becomes a letter, and a retried letter becomes work."""

import json
import pickle
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.core.messages import EmbedShard
from services.core.outcomes import ShardEmbedded
from services.core.ports import RawMessage
from services.core.runtime.celery_app import make_app
from services.core.runtime.worker import register, start_worker
from tests.integration.dead_letter_world import (
    SECONDS,
    SHARD,
    Crafted,
    DeadWorld,
    body_of,
    task,
)
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import eventually

pytestmark = pytest.mark.servers


@pytest.fixture
def world(rabbitmq: RabbitMq, tmp_path: Path) -> Iterator[DeadWorld]:
    made = DeadWorld(rabbitmq.url, tmp_path)
    yield made
    made.queue.close()
    made.records.close()


@contextmanager
def working(world: DeadWorld, done: list[EmbedShard]) -> Iterator[None]:
    """With a worker that notes what it was given."""
    lock = threading.Lock()

    def embed(message: EmbedShard) -> ShardEmbedded:
        with lock:
            done.append(message)
        return ShardEmbedded(sha256s=(), refused=())

    app = make_app(world.url, [EmbedShard.QUEUE], world.prefix)
    register(app, {EmbedShard: embed}, lambda report: None)
    worker = start_worker(app, [EmbedShard.QUEUE], 1, "embedding")
    try:
        yield
    finally:
        assert worker.stop(SECONDS)


def test_what_a_worker_refuses_is_a_letter_with_its_reason(world: DeadWorld) -> None:
    newer = body_of(replace(SHARD, schema=9))
    poison: dict[str, tuple[bytes, dict[str, Any]]] = {
        "UNDECODABLE": (b"\xff{", dict(task(SHARD))),
        "CONTENT_TYPE_REFUSED": (
            pickle.dumps({}),
            {**task(SHARD), "content_type": "application/x-python-serialize"},
        ),
        "UNKNOWN_TASK": (body_of(SHARD), {**task(SHARD), **headers_of("nobody.knows")}),
        "UNKNOWN_SCHEMA": (newer, dict(task(SHARD))),
        "BAD_MESSAGE": (b'[[], {"message": {"schema": 1}}, {}]', dict(task(SHARD))),
        "TOO_LARGE": (b" " * (2 << 20) + body_of(SHARD), dict(task(SHARD))),
    }
    for body, properties in poison.values():
        world.publish("embed.bulk", body, **properties)
    world.publish("embed.bulk", body_of(SHARD), **task(SHARD))
    done: list[EmbedShard] = []
    with world.recording(), working(world, done):
        eventually(lambda: done, SECONDS, "the good message is worked off")
        letters = world.recorded(len(poison))
    assert {each.reason: each.size for each in letters} == {
        reason: len(body) for reason, (body, _) in poison.items()
    }
    assert {each.queue for each in letters} == {"embed.bulk"}
    assert [each.id for each in done] == [SHARD.id]
    # Of all of them, only the shard of the one that is too large can be told, and it fails.
    assert [(each.id, each.failure) for each in world.reports] == [(SHARD.id, "TOO_LARGE")]


def headers_of(name: str) -> dict[str, Any]:
    return {"application_headers": {"task": name, "id": "c1"}}


def test_a_worker_goes_on_after_properties_that_cannot_be_read(world: DeadWorld) -> None:
    beyond_the_calendar = struct.pack(">HI", 1 << 13, 11) + b"\x01tT" + b"\xff" * 8
    world.craft("embed.bulk", Crafted(body_of(SHARD), beyond_the_calendar))
    world.publish("embed.bulk", body_of(SHARD), **task(SHARD))
    done: list[EmbedShard] = []
    with world.recording(), working(world, done):
        (letter,) = world.recorded(1)
        eventually(lambda: done, SECONDS, "the good message is worked off")
    assert (letter.queue, letter.body) == ("embed.bulk", body_of(SHARD))
    assert letter.reason in ("UNDECODABLE", "CONTENT_TYPE_REFUSED")


def test_a_retried_message_is_worked_off(world: DeadWorld) -> None:
    world.queue.publish(SHARD)
    world.reject("embed.bulk")
    with world.recording():
        (letter,) = world.recorded(1)
    assert json.loads(letter.body)[1]["message"]["id"] == SHARD.id
    raw = RawMessage(
        queue=letter.queue,
        body=letter.body,
        content_type=letter.content_type,
        content_encoding=letter.content_encoding,
        headers={key: each for key, each in letter.headers.items() if key[0] != "x"},
        properties=letter.properties,
    )
    world.queue.republish(raw)
    done: list[EmbedShard] = []
    with working(world, done):
        eventually(lambda: done, SECONDS, "the message is worked off")
    assert [each.id for each in done] == [SHARD.id]
