"""What every RecordStore promises about dead letters."""

from dataclasses import replace

import pytest

from services.core.dead_letter_ports import DeadLetter
from services.core.domain import names
from services.core.domain.errors import NotFound
from services.core.record_ports import RecordStore
from tests.contract import record_stores
from tests.contract.record_stores import NOW, sha

records = record_stores.records


def letter(label: str, **fields: object) -> DeadLetter:
    """A letter whose message the test calls `label`; later ones are newer."""
    made = DeadLetter(
        id=names.new_id(),
        message_digest=sha(label),
        queue="embed.bulk",
        routing_key="embed.bulk",
        task="embedding.bulk",
        operation="op",
        message=f"op/1/embed/{label}",
        reason="DELIVERY_LIMIT",
        detail="ä🛒",
        content_type="application/json",
        content_encoding="utf-8",
        headers={"x-death": [{"count": 1, "reason": "\ud800\x00"}], "id": None, "n": 1 << 62},
        properties={"correlation_id": "c"},
        body=b"\x00\xff{",
        size=3,
        deaths=1,
        create_time=NOW,
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # the test names them


def add(records: RecordStore, *letters: DeadLetter) -> list[bool]:
    with records.begin(write=True) as tx:
        return [tx.dead_letters.add(each) for each in letters]


def listed(records: RecordStore, reason: str = "", queue: str = "") -> list[str]:
    with records.begin() as tx:
        return [each.id for each in tx.dead_letters.page("", 100, reason, queue)]


def test_a_letter_is_read_as_it_was_added(records: RecordStore) -> None:
    first = letter("first")
    assert add(records, first) == [True]
    with records.begin() as tx:
        assert tx.dead_letters.get(first.id) == first


def test_a_letter_that_does_not_exist_is_not_found(records: RecordStore) -> None:
    with records.begin() as tx, pytest.raises(NotFound, match="deadletters list") as caught:
        tx.dead_letters.get("none")
    assert caught.value.reason == "DEAD_LETTER_NOT_FOUND"


def test_the_same_message_is_added_once(records: RecordStore) -> None:
    first = letter("first")
    again = replace(first, id=names.new_id(), detail="again")
    assert add(records, first, again) == [True, False]
    assert add(records, again) == [False]
    assert listed(records) == [first.id]
    with records.begin() as tx:
        assert tx.dead_letters.get(first.id) == first


def test_letters_are_paged_newest_first_without_bodies(records: RecordStore) -> None:
    made = [letter(f"{n}") for n in range(5)]
    add(records, *made)
    with records.begin() as tx:
        first = tx.dead_letters.page("", 2)
        second = tx.dead_letters.page(first[-1].id, 2)
        third = tx.dead_letters.page(second[-1].id, 2)
    assert [each.id for each in (*first, *second, *third)] == [each.id for each in made[::-1]]
    assert {(each.body, each.size) for each in first} == {(b"", 3)}


def test_letters_are_filtered_by_reason_and_queue(records: RecordStore) -> None:
    limit, refused = letter("a"), letter("b", reason="UNDECODABLE")
    elsewhere = letter("c", reason="UNDECODABLE", queue="index")
    add(records, limit, refused, elsewhere)
    assert listed(records, reason="UNDECODABLE") == [elsewhere.id, refused.id]
    assert listed(records, queue="embed.bulk") == [refused.id, limit.id]
    assert listed(records, reason="UNDECODABLE", queue="index") == [elsewhere.id]
    assert listed(records, reason="NONE") == []


def test_removed_letters_are_gone_and_may_come_again(records: RecordStore) -> None:
    first, second = letter("first"), letter("second")
    add(records, first, second)
    with records.begin(write=True) as tx:
        tx.dead_letters.remove([first.id, "none"])
        tx.dead_letters.remove([])
    assert listed(records) == [second.id]
    assert add(records, first) == [True]


def test_trimming_forgets_the_oldest_and_says_which(records: RecordStore) -> None:
    made = [letter(f"{n}") for n in range(5)]
    add(records, *made)
    with records.begin(write=True) as tx:
        assert tx.dead_letters.trim(5) == []
        assert tx.dead_letters.trim(3) == [replace(each, body=b"") for each in made[:2]]
    assert listed(records) == [each.id for each in made[:1:-1]]


def test_the_deaths_of_one_message_are_counted(records: RecordStore) -> None:
    same = [letter(f"{n}", message="op/1/embed/0") for n in range(3)]
    add(records, *same, letter("other"))
    with records.begin() as tx:
        assert tx.dead_letters.count_of("op/1/embed/0") == 3
        assert tx.dead_letters.count_of("op/9/embed/0") == 0
