"""What becomes of an operation whose messages die."""

import json
from typing import Any

import pytest

from services.coordinator.dead_letters import DeadLetters
from services.core.dead_letter_reading import DeadMessage
from services.core.domain.operations import OperationState
from services.core.messages import (
    EmbedShard,
    IndexShard,
    IngestManifest,
    IngestShard,
    Message,
    Report,
)
from tests.integration.import_world import World, row


def letters(world: World) -> DeadLetters:
    return DeadLetters(world.records, world.objects, world.clock, world.queue.publish)


def dead(message: Message, reason: str, death: int = 1) -> DeadMessage:
    """What the broker puts into the dead queue; `death` tells one death from another."""
    queue = message.QUEUE
    past = {"reason": reason, "queue": queue, "count": 1, "routing-keys": [queue], "time": death}
    return DeadMessage(
        body=json.dumps([[], {"message": message.to_json()}, {}]).encode(),
        content_type="application/json",
        content_encoding="utf-8",
        headers={"task": message.TASK, "id": "c1", "x-death": [past]},
        properties={},
        exchange="shelflens.dead",
        routing_key=queue,
    )


def refused(message: Message, reason: str, death: int = 1) -> DeadMessage:
    """What a worker puts there."""
    made = dead(message, "rejected", death)
    told = {"x-shelflens-reason": reason, "x-shelflens-queue": message.QUEUE}
    return DeadMessage(
        body=made.body,
        content_type=made.content_type,
        content_encoding="utf-8",
        headers={**made.headers, **told},
        properties={},
        exchange="shelflens.dead",
        routing_key=made.routing_key,
    )


def importing(world: World, rows: int = 3) -> str:
    digests = [world.image(str(n)) for n in range(rows)]
    return world.start_import("shop", [row(f"s{n}", d) for n, d in enumerate(digests)])


def next_of(world: World, kind: type[Message]) -> Any:
    """Runs until a message of that kind is published, and takes it from its queue."""
    world.coordinator.tick()
    for _ in range(100):
        for message in world.queue.messages:
            if type(message) is kind:
                world.queue.messages.remove(message)
                return message
        world.deliver_one()
    raise AssertionError(f"no {kind.__name__} is published")


@pytest.mark.parametrize("kind", [IngestShard, EmbedShard])
def test_rows_whose_message_workers_die_of_are_rejected_with_the_reason(
    world: World, kind: type[Message]
) -> None:
    operation = importing(world)
    letters(world).record(dead(next_of(world, kind), "delivery_limit"))
    world.run()
    ended = world.operation(operation)
    assert ended.state is OperationState.SUCCEEDED
    assert ended.counts.rows_rejected == 3
    assert ended.counts.rejected_by_reason["DELIVERY_LIMIT"] >= 3
    assert world.found("shop") == {}


def test_rows_that_were_rejected_so_are_searchable_after_the_next_import(world: World) -> None:
    importing(world)
    letters(world).record(dead(next_of(world, EmbedShard), "delivery_limit"))
    world.run()
    importing(world)
    world.run()
    assert len(world.found("shop")) == 3


def test_a_manifest_that_workers_die_of_fails_its_operation(world: World) -> None:
    operation = importing(world)
    letters(world).record(dead(next_of(world, IngestManifest), "delivery_limit"))
    world.run()
    ended = world.operation(operation)
    assert (ended.state, ended.error_reason) == (OperationState.FAILED, "DELIVERY_LIMIT")
    assert "shelflens deadletters list" in ended.error_message


def test_a_plan_that_died_is_tried_again(world: World) -> None:
    importing(world)
    letters(world).record(dead(next_of(world, IndexShard), "delivery_limit"))
    world.run()
    assert len(world.found("shop")) == 3


@pytest.mark.parametrize(
    ("letter", "reason"),
    [
        (refused, "UNKNOWN_SCHEMA"),
        (refused, "UNKNOWN_TASK"),
        (dead, "expired"),
        (dead, "maxlen"),
        (dead, "rejected"),
        (refused, "BAD_MESSAGE"),
    ],
)
def test_a_shard_that_an_upgrade_or_a_failure_hit_is_published_again(
    world: World, letter: Any, reason: str
) -> None:
    operation = importing(world)
    recorder = letters(world)
    for death in range(2):
        recorder.record(letter(next_of(world, EmbedShard), reason, death))
        assert not [each for each in world.queue.messages if isinstance(each, Report)]
        world.clock.move(61)  # its lease ends
    world.run()
    assert world.operation(operation).counts.rows_rejected == 0
    assert len(world.found("shop")) == 3


@pytest.mark.parametrize(
    ("letter", "reason", "deaths"),
    [(dead, "rejected", 3), (refused, "BAD_MESSAGE", 3), (refused, "UNKNOWN_SCHEMA", 20)],
)
def test_no_shard_is_published_for_ever(
    world: World, letter: Any, reason: str, deaths: int
) -> None:
    operation = importing(world)
    recorder = letters(world)
    for death in range(deaths):
        recorder.record(letter(next_of(world, EmbedShard), reason, death))
        world.clock.move(61)
    world.run()
    counts = world.operation(operation).counts
    assert (counts.rows_rejected, counts.rejected_by_reason[reason.upper()] > 0) == (3, True)


def test_a_death_that_is_delivered_twice_counts_once(world: World) -> None:
    operation = importing(world)
    recorder, message = letters(world), next_of(world, EmbedShard)
    for _ in range(5):
        recorder.record(dead(message, "rejected"))
    with world.records.begin() as tx:
        assert tx.dead_letters.count_of(message.id) == 1
    world.run()
    assert world.operation(operation).counts.rows_rejected == 0


def test_a_report_that_coordinators_die_of_fails_its_shard(world: World) -> None:
    operation = importing(world)
    message = next_of(world, EmbedShard)
    report = Report(
        id=message.id, operation=operation, revision=message.revision, task=message.TASK
    )
    letters(world).record(dead(report, "delivery_limit"))
    world.run()
    assert world.operation(operation).counts.rows_rejected == 3


def test_messages_of_operations_that_are_gone_change_nothing(world: World) -> None:
    message = next_of_gone(world)
    letters(world).record(dead(message, "delivery_limit"))
    world.run()
    assert world.operation(message.operation).state is OperationState.SUCCEEDED
    letters(world).record(dead(message, "delivery_limit", 2))
    world.run()
    assert len(world.found("shop")) == 3


def next_of_gone(world: World) -> Any:
    """The message of a shard whose operation has ended."""
    importing(world)
    message = next_of(world, EmbedShard)
    world.queue.messages.append(message)
    world.run()
    return message


def test_a_note_that_work_began_fails_nothing_when_it_dies(world: World) -> None:
    operation = importing(world)
    message = next_of(world, EmbedShard)
    began = Report(
        id=message.id,
        operation=operation,
        revision=message.revision,
        task=message.TASK,
        started=True,
    )
    letters(world).record(dead(began, "delivery_limit"))
    world.queue.messages.append(message)
    world.run()
    assert world.operation(operation).counts.rows_rejected == 0
