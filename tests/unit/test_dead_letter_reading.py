"""What a dead message says, whoever wrote it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.core import dead_letter_headers as headers
from services.core.dead_letter_reading import (
    DECODED_BYTES,
    DeadMessage,
    death_of,
    digest_of,
    plain_text,
    read_message,
    shard_of,
)
from services.core.domain.errors import InvalidArgument
from services.core.messages import DropCollection, EmbedQuery, OperationAccepted

DROP = DropCollection(id="op/0/drop/0", operation="op", revision=1, sequence=0, collection="c")


def dead(found: Mapping[str, Any], exchange: str = "shelflens.dead") -> DeadMessage:
    return DeadMessage(
        body=b"{}",
        content_type="application/json",
        content_encoding="utf-8",
        headers=found,
        properties={"correlation_id": "c"},
        exchange=exchange,
        routing_key="embed.bulk",
    )


def past(reason: str, queue: str = "embed.bulk", **fields: Any) -> dict[str, Any]:
    return {"reason": reason, "queue": queue, "count": 2, "routing-keys": [queue], **fields}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("rejected", "REJECTED"),
        ("delivery_limit", "DELIVERY_LIMIT"),
        ("expired", "EXPIRED"),
        ("maxlen", "QUEUE_FULL"),
        ("something new", "REJECTED"),
    ],
)
def test_the_newest_death_counts(told: str, reason: str) -> None:
    death = death_of(dead({"x-death": [past(told), past("expired", "older")]}))
    assert (death.reason, death.queue, death.routing_key) == (reason, "embed.bulk", "embed.bulk")
    assert death.count == 2


def test_a_worker_that_refused_it_knows_better_than_the_broker() -> None:
    told = {headers.REASON: "BAD_MESSAGE", headers.QUEUE: "index", headers.DETAIL: "why"}
    death = death_of(dead({**told, "x-death": [past("expired", "shelflens.after.500")]}))
    assert (death.reason, death.queue, death.detail) == ("BAD_MESSAGE", "index", "why")


def test_what_no_queue_took_after_a_pause_is_unroutable() -> None:
    after = [past("expired", "shelflens.after.500")]
    death = death_of(dead({"x-death": after}, "shelflens"))
    assert (death.reason, death.queue, death.routing_key) == ("UNROUTABLE", "", "embed.bulk")


def test_letters_name_queues_without_the_prefix_of_the_installation() -> None:
    death = death_of(dead({"x-death": [past("rejected", "a.index")]}, "a.shelflens.dead"), "a.")
    assert (death.queue, death.routing_key) == ("index", "index")
    told = {headers.REASON: "BAD_MESSAGE", headers.QUEUE: "a.index"}
    assert death_of(dead(told, "a.shelflens.dead"), "a.").queue == "index"


@pytest.mark.parametrize(
    "found",
    [
        {"x-death": "text"},
        {"x-death": [1, "two"]},
        {"x-death": [{"count": "many", "routing-keys": 7, "queue": None}]},
        {headers.REASON: "no reason"},
        {headers.REASON: ["A"]},
        {headers.REASON: "A", headers.QUEUE: {"a": 1}, headers.DETAIL: 7},
    ],
)
def test_headers_of_any_shape_are_read(found: dict[str, Any]) -> None:
    death = death_of(dead(found))
    assert death.count >= 1
    assert death.reason


def test_deliveries_of_one_message_have_one_digest_and_others_another() -> None:
    first = dead({"id": "t1", "x-death": [past("rejected")]})
    again = replace(first, headers={**first.headers, "x-delivery-count": 4})
    assert digest_of(first) == digest_of(again)
    others = [
        replace(first, body=b"other"),
        replace(first, headers={**first.headers, "id": "t2"}),
        replace(first, headers={**first.headers, "x-death": [past("rejected", count=3)]}),
        replace(first, headers={**first.headers, headers.RETRY_OF: "l1"}),
        replace(first, properties={}),
    ]
    assert len({digest_of(each) for each in (first, *others)}) == 6


def read(body: object, task: object = DROP.TASK, content_type: str = "application/json") -> str:
    """The reason of the refusal, empty for a message that is read."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        read_message(task, content_type, raw)
    except InvalidArgument as error:
        return error.reason
    return ""


def test_a_message_is_read_as_a_worker_reads_it() -> None:
    good = [[], {"message": DROP.to_json()}, {}]
    assert read(good) == ""
    assert read_message(DROP.TASK, "application/json", json.dumps(good).encode()) == DROP


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x80\x04", "UNDECODABLE"),
        (b"[" * 100_000, "UNDECODABLE"),
        ([], "UNDECODABLE"),
        ([[], []], "UNDECODABLE"),
        ([[], {"message": 1}], "BAD_MESSAGE"),
        ([[], {"message": {}}], "UNKNOWN_SCHEMA"),
        ([[], {"message": {"schema": 1}}], "BAD_MESSAGE"),
        ([[], {"message": DROP.to_json() | {"id": None}}], "BAD_MESSAGE"),
        ([[], {"message": DROP.to_json() | {"revision": "1"}}], "BAD_MESSAGE"),
        (b" " * (DECODED_BYTES + 1), "TOO_LARGE"),
    ],
)
def test_what_is_no_message_is_refused_with_its_reason(body: object, reason: str) -> None:
    assert read(body) == reason


def test_other_tasks_and_types_are_refused() -> None:
    good = [[], {"message": DROP.to_json()}, {}]
    assert read(good, task="celery.backend_cleanup") == "UNKNOWN_TASK"
    assert read(good, task=["x"]) == "UNKNOWN_TASK"
    assert read(good, content_type="application/x-python-serialize") == "CONTENT_TYPE_REFUSED"


def test_only_messages_about_shards_name_one() -> None:
    assert shard_of(DROP) == 0
    assert shard_of(replace(DROP, id="op/-1/manifest/0")) == -1
    for strange in ("op/x/drop/0", "other/0/drop/0", "op", "op/0", "op/٣/drop/0", "op/0/drop/0\n"):
        assert shard_of(replace(DROP, id=strange)) is None
    assert shard_of(OperationAccepted(id="op", operation="op", revision=1)) is None
    query = EmbedQuery(id="q", operation="", revision=0, model_digest="d", expires=0.0)
    assert shard_of(query) is None


def test_text_is_safe_for_terminals_and_databases() -> None:
    assert plain_text("a\x00b\x1b[2J\ud800\u202e\n", 100) == "a\ufffdb\ufffd[2J\ufffd\ufffd\ufffd"
    assert plain_text("äöü", 2) == "äö"
    assert (plain_text(None, 5), plain_text(7, 5)) == ("", "7")
