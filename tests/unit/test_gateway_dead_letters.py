"""Dead letters through the API."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.core.dead_letter_ports import PART_BYTES, DeadLetter
from services.core.domain import keys, names
from services.core.domain.operations import OperationKind, OperationState
from services.core.messages import EmbedQuery, EmbedShard, Message, OperationAccepted
from services.core.work_ports import Shard, ShardState, Stage
from shelflens.v1 import dead_letters_pb2 as pb
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)
SHARD = EmbedShard(
    id="op/0/embed/0",
    operation="op",
    revision=1,
    sequence=0,
    sha256s=("a" * 64,),
    embedders=("d" * 64,),
    embeddings=("embeddings/x",),
)
ACCEPTED = OperationAccepted(id="op", operation="op", revision=1)
QUERY = EmbedQuery(id="q", operation="", revision=0, model_digest="d" * 64, expires=1.0)


def body_of(message: Message) -> bytes:
    return json.dumps([[], {"message": message.to_json()}, {}]).encode()


def letter_of(message: Message, **fields: Any) -> DeadLetter:
    """The letter that `message` has become, with other fields where given."""
    body = fields.pop("body", body_of(message))
    made = DeadLetter(
        id=names.new_id(),
        message_digest=hashlib.sha256(names.new_id().encode()).hexdigest(),
        queue=message.QUEUE,
        routing_key=message.QUEUE,
        task=message.TASK,
        operation=message.operation,
        message=message.id,
        reason="DELIVERY_LIMIT",
        detail="the broker says delivery_limit",
        content_type="application/json",
        content_encoding="utf-8",
        headers={"task": message.TASK, "id": "t1", "x-death": [{"count": 6}], "retries": 0},
        properties={"correlation_id": "t1"},
        body=body,
        size=len(body),
        deaths=6,
        create_time=datetime.now(UTC),
    )
    return replace(made, **fields)


def add(world: World, *letters: DeadLetter) -> list[str]:
    with world.records.begin(write=True) as tx:
        for each in letters:
            tx.dead_letters.add(each)
    return [f"deadLetters/{each.id}" for each in letters]


def importing(world: World, state: ShardState = ShardState.IN_FLIGHT) -> EmbedShard:
    """The message of a shard of a running import."""
    with world.records.begin(write=True) as tx:
        operation = tx.operations.create(OperationKind.IMPORT, "shop", 1, {}, datetime.now(UTC))
        message = replace(SHARD, id=f"{operation.id}/0/embed/0", operation=operation.id)
        tx.shards.add([Shard(operation.id, 0, Stage.EMBED, state, message.to_json())])
    return message


async def retry(world: World, name: str, force: bool = False) -> str:
    request = pb.RetryDeadLetterRequest(name=name, force=force)
    return (await world.dead_letters.RetryDeadLetter(request)).queue


async def listed(world: World, **filters: str) -> list[str]:
    request = pb.ListDeadLettersRequest(**filters)  # type: ignore[arg-type]  # texts alone
    return [each.name for each in (await world.dead_letters.ListDeadLetters(request)).dead_letters]


async def test_letters_are_listed_newest_first_by_page_and_filter(world: World) -> None:
    assert await listed(world) == []
    made = add(world, letter_of(SHARD), letter_of(ACCEPTED, reason="REJECTED"), letter_of(SHARD))
    first = await world.dead_letters.ListDeadLetters(pb.ListDeadLettersRequest(page_size=2))
    again = pb.ListDeadLettersRequest(page_size=2, page_token=first.next_page_token)
    second = await world.dead_letters.ListDeadLetters(again)
    found = [each.name for each in (*first.dead_letters, *second.dead_letters)]
    assert found == made[::-1]
    assert not any(each.body for each in first.dead_letters)
    assert await listed(world, reason="REJECTED") == [made[1]]
    assert await listed(world, queue="embed.bulk") == [made[2], made[0]]


async def test_a_letter_is_read_with_headers_and_body(world: World) -> None:
    (name,) = add(world, letter_of(SHARD))
    found = await world.dead_letters.GetDeadLetter(pb.GetDeadLetterRequest(name=name))
    assert found.body == body_of(SHARD)
    assert found.headers["x-death"] == '[{"count": 6}]'
    assert found.headers["task"] == "embedding.bulk"
    assert (found.operation, found.death_count) == ("operations/op", 6)
    assert (found.reason, found.size_bytes) == ("DELIVERY_LIMIT", len(found.body))


async def test_a_retry_puts_the_message_back_as_it_was_and_forgets_the_letter(
    world: World,
) -> None:
    (name,) = add(world, letter_of(importing(world)))
    letter = await world.dead_letters.GetDeadLetter(pb.GetDeadLetterRequest(name=name))
    assert await retry(world, name) == "embed.bulk"
    (raw,) = world.queue.republished
    assert (raw.queue, raw.body) == ("embed.bulk", letter.body)
    assert (raw.content_type, raw.content_encoding) == ("application/json", "utf-8")
    assert raw.properties == {"correlation_id": "t1"}
    assert raw.headers == {
        "task": "embedding.bulk",
        "id": "t1",
        "retries": 0,
        "x-shelflens-retry-of": name.removeprefix("deadLetters/"),
    }
    assert await refused(retry(world, name)) == ("NOT_FOUND", "DEAD_LETTER_NOT_FOUND")


async def test_a_letter_stays_when_the_broker_does_not_take_its_message(world: World) -> None:
    (name,) = add(world, letter_of(ACCEPTED))
    world.queue.down = True
    assert (await refused(retry(world, name)))[0] == "UNAVAILABLE"
    assert await listed(world) == [name]


async def test_a_long_body_is_retried_whole_and_deleted_with_its_letter(world: World) -> None:
    whole = body_of(replace(importing(world), sha256s=("a" * 64,) * 5_000))
    operation = json.loads(whole)[1]["message"]["operation"]
    long = letter_of(SHARD, body=whole, operation=operation)
    long = replace(long, body=whole[:PART_BYTES])
    key = keys.dead_letter_key(long.message_digest)
    (name,) = add(world, long)
    assert await refused(retry(world, name)) == ("FAILED_PRECONDITION", "BODY_NOT_KEPT")
    world.objects.put(key, whole)
    assert await retry(world, name) == "embed.bulk"
    assert world.queue.republished[0].body == whole
    assert world.objects.size(key) is None


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"body": b"\x80\x04garbage"}, "UNDECODABLE"),
        ({"content_type": "application/x-python-serialize"}, "CONTENT_TYPE_REFUSED"),
        ({"headers": {"task": "nobody.knows"}}, "UNKNOWN_TASK"),
        ({"body": body_of(replace(SHARD, schema=9))}, "UNKNOWN_SCHEMA"),
        ({"body": b'[[], {"message": {"schema": 1}}, {}]'}, "BAD_MESSAGE"),
        ({"body": body_of(SHARD).replace(b'"op/0/embed/0"', b"7")}, "BAD_MESSAGE"),
    ],
)
async def test_what_nobody_can_read_is_retried_only_by_force(
    world: World, fields: dict[str, Any], refusal: str
) -> None:
    letter = letter_of(SHARD, **fields)
    (name,) = add(world, letter)
    with pytest.raises(Exception, match=refusal):
        await retry(world, name)
    assert await refused(retry(world, name)) == ("FAILED_PRECONDITION", "RETRY_POINTLESS")
    assert await retry(world, name, force=True) == "embed.bulk"
    assert world.queue.republished[0].body == letter.body


async def test_the_photo_of_a_past_search_is_not_retried(world: World) -> None:
    (name,) = add(world, letter_of(QUERY, reason="EXPIRED"))
    assert await refused(retry(world, name)) == ("FAILED_PRECONDITION", "RETRY_POINTLESS")


async def test_a_shard_of_an_operation_that_is_done_or_gone_is_not_retried(world: World) -> None:
    message = importing(world)
    done, gone = add(world, letter_of(message), letter_of(SHARD))
    with world.records.begin(write=True) as tx:
        operation = tx.operations.get(message.operation)
        operation.state = OperationState.SUCCEEDED
        tx.operations.save(operation)
    for name in (done, gone):
        call = retry(world, name, force=True)
        assert await refused(call) == ("FAILED_PRECONDITION", "OPERATION_DONE")


async def test_a_shard_that_has_its_outcome_is_not_retried(world: World) -> None:
    reported = importing(world, ShardState.REPORTED)
    older = replace(importing(world), id="x/0/ingest/0")
    older = replace(older, id=f"{older.operation}/0/ingest/0")
    for name in add(world, letter_of(reported), letter_of(older)):
        assert await refused(retry(world, name)) == ("FAILED_PRECONDITION", "SHARD_DONE")
    assert not world.queue.republished


async def test_a_retry_leads_to_queues_of_the_system_alone(world: World) -> None:
    names_ = add(
        world,
        letter_of(ACCEPTED, queue="amq.somebody"),
        letter_of(ACCEPTED, queue="", routing_key="nowhere", reason="UNROUTABLE"),
        letter_of(ACCEPTED, queue="", routing_key="control", reason="UNROUTABLE"),
    )
    for name in names_[:2]:
        call = retry(world, name, force=True)
        assert await refused(call) == ("FAILED_PRECONDITION", "QUEUE_UNKNOWN")
    assert await retry(world, names_[2]) == "control"


async def test_a_dropped_letter_is_gone(world: World) -> None:
    kept, dropped = add(world, letter_of(SHARD), letter_of(SHARD))
    drop = pb.DeleteDeadLetterRequest(name=dropped)
    await world.dead_letters.DeleteDeadLetter(drop)
    assert await listed(world) == [kept]
    call = world.dead_letters.DeleteDeadLetter(drop)
    assert await refused(call) == ("NOT_FOUND", "DEAD_LETTER_NOT_FOUND")


async def test_a_name_of_another_kind_is_refused(world: World) -> None:
    call = world.dead_letters.GetDeadLetter(pb.GetDeadLetterRequest(name="operations/x"))
    assert await refused(call) == ("INVALID_ARGUMENT", "INVALID_NAME")
