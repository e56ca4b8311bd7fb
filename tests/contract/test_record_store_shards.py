"""What every RecordStore promises about shards: the outbox, its window and its leases."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.core.record_ports import RecordStore
from services.core.work_ports import Shard, ShardState, Stage
from tests.contract import record_stores
from tests.contract.record_stores import NOW, Shop, later

records, shop = record_stores.records, record_stores.shop_of_records
LEASED = (Stage.MANIFEST, Stage.INGEST, Stage.EMBED, Stage.INDEX)


def shard(
    sequence: int,
    stage: Stage = Stage.INGEST,
    state: ShardState = ShardState.READY,
    operation: str = "o",
    **values: Any,
) -> Shard:
    return Shard(operation, sequence, stage, state, {"n": sequence}, **values)


def add(records: RecordStore, *shards: Shard) -> None:
    with records.begin(write=True) as tx:
        tx.shards.add(shards)


def save(records: RecordStore, *shards: Shard) -> None:
    with records.begin(write=True) as tx:
        for each in shards:
            tx.shards.save(each)


def lease(
    records: RecordStore, window: int, stages: Sequence[Stage] = LEASED, operation: str = "o"
) -> list[int]:
    with records.begin(write=True) as tx:
        leased = tx.shards.lease(operation, window, NOW, later(60), stages)
        assert all(tx.shards.get(operation, each.sequence) == each for each in leased)
    return [each.sequence for each in leased]


def states(records: RecordStore) -> dict[int, ShardState]:
    with records.begin() as tx:
        return {each.sequence: each.state for each in tx.shards.page("o", -2, 99)}


def test_a_shard_comes_back_as_it_was_added_and_as_it_was_saved(records: RecordStore) -> None:
    made = shard(-1, Stage.MANIFEST, notes={"ä": [1, {"b": None}]})
    add(records, made, shard(0), shard(-1, operation="p"))
    with records.begin() as tx:
        assert tx.shards.get("o", -1) == made
        assert tx.shards.get("o", 9) is None
        assert tx.shards.get("gone", 0) is None
    changed = Shard(
        "o", -1, Stage.EMBED, ShardState.IN_FLIGHT, {"new": "🛒"},
        {"failure": ""}, 3, later(9), {},
    )  # fmt: skip
    save(records, changed)
    with records.begin() as tx:
        assert tx.shards.get("o", -1) == changed
        assert tx.shards.get("o", 0) == shard(0)
        assert tx.shards.get("p", -1) == shard(-1, operation="p")


def test_shards_added_twice_change_nothing(records: RecordStore) -> None:
    add(records, shard(0), shard(1))
    save(records, shard(0, Stage.EMBED, ShardState.IN_FLIGHT, attempts=2))
    add(records, shard(0), shard(1, Stage.INDEX), shard(2))
    add(records)
    with records.begin() as tx:
        assert tx.shards.page("o", -2, 99) == [
            shard(0, Stage.EMBED, ShardState.IN_FLIGHT, attempts=2), shard(1), shard(2),
        ]  # fmt: skip


def test_a_lease_takes_later_stages_and_lower_numbers_first(records: RecordStore) -> None:
    stages = [Stage.INGEST, Stage.EMBED, Stage.INDEX, Stage.INGEST, Stage.EMBED, Stage.INDEX]
    add(records, *(shard(number, stage) for number, stage in enumerate(stages)))
    assert lease(records, 3) == [2, 5, 1]
    assert lease(records, 5) == [4, 0]
    assert lease(records, 99) == [3]


def test_a_leased_shard_is_in_flight_until_its_lease_ends(records: RecordStore) -> None:
    add(records, shard(0), shard(1, operation="p"))
    assert lease(records, 4) == [0]
    assert lease(records, 4) == []
    with records.begin() as tx:
        expected = shard(0, state=ShardState.IN_FLIGHT, attempts=1, lease_until=later(60))
        assert tx.shards.get("o", 0) == expected


def test_a_lease_takes_only_ready_shards_of_the_stages_named(records: RecordStore) -> None:
    add(
        records,
        shard(0),
        shard(1, Stage.EMBED),
        shard(2, Stage.DONE),
        shard(3, state=ShardState.REPORTED),
    )
    assert lease(records, 9, (Stage.EMBED, Stage.INDEX)) == [1]
    assert lease(records, 9, ()) == []
    assert lease(records, 9, operation="p") == []
    assert lease(records, 9) == [0]


def test_no_more_than_a_window_is_in_flight(records: RecordStore) -> None:
    add(records, *(shard(number) for number in range(8)))
    assert lease(records, 3) == [0, 1, 2]
    assert lease(records, 3) == []
    save(records, shard(1, state=ShardState.REPORTED))
    assert lease(records, 3) == [3]
    assert lease(records, 2) == []


def test_no_lease_runs_two_windows_ahead_of_the_first_unfinished_shard(
    records: RecordStore,
) -> None:
    add(records, shard(-1, Stage.MANIFEST, ShardState.IN_FLIGHT))
    add(records, shard(0, state=ShardState.REPORTED), *(shard(n) for n in range(1, 9)))
    reached: list[int] = []
    while taken := lease(records, 3):
        reached += taken
        save(records, *(shard(number, state=ShardState.REPORTED) for number in taken))
    assert reached == [1, 2, 3, 4, 5, 6]
    save(records, shard(0, Stage.DONE))
    assert lease(records, 3) == [7]


def test_only_leases_that_ended_lapse_and_all_of_them_after_a_restart(
    records: RecordStore,
) -> None:
    add(
        records,
        *(shard(n, state=ShardState.IN_FLIGHT, lease_until=later(n), attempts=1) for n in range(4)),
        shard(4, state=ShardState.REPORTED, lease_until=NOW),
    )
    flying, ready = ShardState.IN_FLIGHT, ShardState.READY

    def lapse(when: float | None) -> int:
        with records.begin(write=True) as tx:
            return tx.shards.lapse(None if when is None else later(when))

    assert lapse(1.5) == 2
    assert list(states(records).values()) == [ready, ready, flying, flying, ShardState.REPORTED]
    assert lapse(1.5) == 0
    assert lapse(None) == 2
    assert list(states(records).values()) == [ready] * 4 + [ShardState.REPORTED]
    with records.begin() as tx:
        assert all(each.attempts == 1 for each in tx.shards.page("o", -1, 4))


def test_shards_are_found_by_stage_in_order(records: RecordStore) -> None:
    add(
        records,
        shard(3, Stage.EMBED, ShardState.REPORTED, report={"failure": ""}),
        shard(1, Stage.EMBED, ShardState.REPORTED),
        shard(2, Stage.EMBED),
        shard(0, Stage.DONE),
        shard(4, Stage.INDEX, ShardState.REPORTED),
        shard(0, Stage.EMBED, ShardState.REPORTED, operation="p"),
    )
    with records.begin() as tx:
        assert [each.sequence for each in tx.shards.reported("o", Stage.EMBED)] == [1, 3]
        assert tx.shards.reported("o", Stage.INGEST) == []
        assert tx.shards.first("o", [Stage.INDEX, Stage.EMBED]) == tx.shards.get("o", 1)
        assert tx.shards.first("o", [Stage.DONE]) == tx.shards.get("o", 0)
        assert tx.shards.first("o", [Stage.INGEST]) is None
        assert tx.shards.unfinished("o") == 4
        assert tx.shards.unfinished("gone") == 0


def test_the_next_number_follows_the_largest(records: RecordStore) -> None:
    def following() -> int:
        with records.begin() as tx:
            return tx.shards.next_sequence("o")

    assert following() == 0
    add(records, shard(-1, Stage.MANIFEST), shard(7, operation="p"))
    assert following() == 0
    add(records, shard(4), shard(2))
    assert following() == 5


def test_pages_of_shards_follow_their_numbers(records: RecordStore) -> None:
    add(records, *(shard(number) for number in (5, -1, 3, 0, 4)), shard(1, operation="p"))
    with records.begin() as tx:
        assert [each.sequence for each in tx.shards.page("o", -2, 3)] == [-1, 0, 3]
        assert [each.sequence for each in tx.shards.page("o", 3, 3)] == [4, 5]
        assert tx.shards.page("o", 5, 3) == []


def test_a_stage_is_dropped_alone(records: RecordStore) -> None:
    add(records, shard(0, Stage.EMBED), shard(1), shard(2, Stage.DONE))
    add(records, shard(1, operation="p"))
    with records.begin(write=True) as tx:
        tx.shards.drop("o", Stage.INGEST)
    assert list(states(records)) == [0, 2]
    with records.begin() as tx:
        assert tx.shards.get("p", 1) is not None


def test_threads_that_write_one_catalogue_never_lease_the_same_shard(shop: Shop) -> None:
    add(shop.records, *(shard(number) for number in range(24)))

    start = threading.Barrier(3)

    def take(offset: int) -> list[int]:
        start.wait(30)
        mine: list[int] = []
        for window in range(offset, 25 + offset, 2):
            with shop.records.begin(write=True) as tx:
                tx.catalogs.next_revision("shop")
                leased = tx.shards.lease("o", window, NOW, later(9), LEASED)
            mine += [each.sequence for each in leased]
        return mine

    with ThreadPoolExecutor(3) as pool:
        taken = [number for each in pool.map(take, (1, 2, 3)) for number in each]
    assert sorted(taken) == list(range(24))
