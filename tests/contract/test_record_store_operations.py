"""What every RecordStore promises about operations and remembered requests."""

import pytest

from services.core.domain.errors import FailedPrecondition, InvalidArgument, NotFound
from services.core.domain.operations import ImportCounts, Operation, OperationKind, OperationState
from services.core.record_ports import RecordStore
from services.core.work_ports import Shard, ShardState, Stage
from tests.contract import record_stores
from tests.contract.record_stores import NOW, later

records = record_stores.records
ENDED = [state for state in OperationState if state.done]


def create(
    records: RecordStore,
    state: OperationState = OperationState.QUEUED,
    kind: OperationKind = OperationKind.IMPORT,
    catalog: str = "shop",
    ended_after: float = 0,
) -> Operation:
    with records.begin(write=True) as tx:
        made = tx.operations.create(kind, catalog, 7, {"manifest": "ä"}, NOW)
        made.state = state
        made.end_time = later(ended_after) if state.done else None
        tx.operations.save(made)
    return made


def listed(records: RecordStore, after: str = "", limit: int = 99, catalog: str = "") -> list[str]:
    with records.begin() as tx:
        return [each.id for each in tx.operations.page(after, limit, catalog)]


def test_a_new_operation_is_queued_and_has_done_nothing(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        made = tx.operations.create(OperationKind.IMPORT, "shop", 7, {"preset": "ä"}, NOW)
    with records.begin() as tx:
        assert tx.operations.get(made.id) == made
    assert (made.state, made.kind) == (OperationState.QUEUED, OperationKind.IMPORT)
    assert (made.catalog, made.revision, made.request) == ("shop", 7, {"preset": "ä"})
    assert (made.counts, made.total_rows, made.result) == (ImportCounts(), 0, {})
    assert (made.create_time, made.update_time, made.end_time) == (NOW, NOW, None)


def test_all_that_an_operation_becomes_is_saved(records: RecordStore) -> None:
    made, other = create(records), create(records)
    made.state, made.total_rows = OperationState.FAILED, 1 << 40
    made.counts.rows_read = 12
    made.counts.rejected_by_reason.update({"SKU_MISSING": 2})
    made.result = {"rejections": [{"row": 1, "value": "ä🛒"}]}
    made.error_reason, made.error_message = "MANIFEST_UNREADABLE", "no “sku”"
    made.update_time, made.end_time = later(1), later(2)
    with records.begin(write=True) as tx:
        tx.operations.save(made)
    with records.begin() as tx:
        found = tx.operations.get(made.id)
        assert tx.operations.get(other.id) == other
    assert found == made
    found.counts.rejected_by_reason["NEW"] += 1  # still a counter


def test_an_operation_that_is_not_there_is_not_found_everywhere(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        for use in (
            tx.operations.get,
            tx.operations.delete,
            lambda operation: tx.operations.cancel(operation, NOW),
        ):
            with pytest.raises(NotFound) as caught:
                use("gone")
            assert caught.value.reason == "OPERATION_NOT_FOUND"


def test_pages_show_visible_operations_newest_first(records: RecordStore) -> None:
    made = [create(records, catalog=f"shop-{number % 2}").id for number in range(5)]
    create(records, kind=OperationKind.CHANGE, catalog="shop-0")
    made.append(create(records, kind=OperationKind.DELETE_CATALOG, catalog="shop-1").id)
    newest_first = made[::-1]
    assert listed(records) == newest_first
    assert listed(records, limit=4) == newest_first[:4]
    assert listed(records, after=newest_first[3]) == newest_first[4:]
    assert listed(records, after=made[0]) == []
    assert listed(records, catalog="shop-0") == [made[4], made[2], made[0]]
    assert listed(records, after=made[4], limit=1, catalog="shop-0") == [made[2]]
    assert listed(records, catalog="nowhere") == []


@pytest.mark.parametrize("state", OperationState)
def test_a_cancel_stops_what_is_on_its_way_and_leaves_what_has_ended(
    records: RecordStore, state: OperationState
) -> None:
    made = create(records, state)
    with records.begin(write=True) as tx:
        cancelled = tx.operations.cancel(made.id, later(3))
    with records.begin() as tx:
        assert tx.operations.get(made.id) == cancelled
    if state in (OperationState.QUEUED, OperationState.RUNNING):
        assert (cancelled.state, cancelled.update_time) == (OperationState.CANCELLING, later(3))
    else:
        assert cancelled == made


@pytest.mark.parametrize("state", OperationState)
def test_only_an_operation_that_has_ended_can_be_deleted(
    records: RecordStore, state: OperationState
) -> None:
    made, other = create(records, state), create(records)
    with records.begin(write=True) as tx:
        for each in (made, other):
            tx.shards.add([Shard(each.id, 0, Stage.DONE, ShardState.READY, {})])
    if state.done:
        with records.begin(write=True) as tx:
            tx.operations.delete(made.id)
            assert tx.shards.get(made.id, 0) is None
        assert listed(records) == [other.id]
    else:
        with (
            pytest.raises(FailedPrecondition) as caught,
            records.begin(write=True) as tx,
        ):
            tx.operations.delete(made.id)
        assert caught.value.reason == "OPERATION_RUNNING"
        assert listed(records) == [other.id, made.id]
    with records.begin() as tx:
        assert tx.shards.get(other.id, 0) is not None


def test_active_operations_of_every_kind_come_oldest_first(records: RecordStore) -> None:
    active = [OperationState.RUNNING, OperationState.QUEUED, OperationState.CANCELLING]
    made = [
        create(records, state, kind)
        for kind in OperationKind
        for state in [*active, *ENDED]
    ]  # fmt: skip
    with records.begin() as tx:
        found = tx.operations.active()
    assert found == [each for each in made if not each.state.done]


def test_a_purge_removes_ended_operations_of_one_kind_with_their_shards(
    records: RecordStore,
) -> None:
    old = create(records, ENDED[0], OperationKind.CHANGE, ended_after=10)
    recent = create(records, ENDED[0], OperationKind.CHANGE, ended_after=20)
    visible = create(records, ENDED[0], OperationKind.IMPORT, ended_after=10)
    running = create(records, OperationState.RUNNING, OperationKind.CHANGE)
    with records.begin(write=True) as tx:
        for each in (old, recent):
            tx.shards.add([Shard(each.id, 0, Stage.DONE, ShardState.READY, {})])
    with records.begin(write=True) as tx:
        assert tx.operations.purge(OperationKind.CHANGE, later(20)) == 1
        assert tx.operations.purge(OperationKind.CHANGE, later(20)) == 0
    with records.begin() as tx:
        with pytest.raises(NotFound):
            tx.operations.get(old.id)
        assert tx.shards.get(old.id, 0) is None
        assert tx.shards.get(recent.id, 0) is not None
        assert [tx.operations.get(each.id) for each in (recent, visible, running)] == [
            recent, visible, running,
        ]  # fmt: skip


def test_an_answer_is_found_by_the_request_that_it_was_given_to(records: RecordStore) -> None:
    answer = bytes(range(256))
    with records.begin(write=True) as tx:
        assert tx.requests.find("Create", "id-1", "digest") is None
        tx.requests.remember("Create", "id-1", "digest", answer, NOW)
        tx.requests.remember("Create", "id-2", "digest", b"", NOW)
    with records.begin() as tx:
        assert tx.requests.find("Create", "id-1", "digest") == answer
        assert tx.requests.find("Create", "id-2", "digest") == b""
        assert tx.requests.find("Delete", "id-1", "another") is None


def test_a_request_id_used_for_another_payload_is_refused(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.requests.remember("Create", "id-1", "digest", b"answer", NOW)
    with pytest.raises(InvalidArgument) as caught, records.begin() as tx:
        tx.requests.find("Create", "id-1", "another")
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_the_first_answer_to_a_request_stays(records: RecordStore) -> None:
    for answer in (b"first", b"second"):
        with records.begin(write=True) as tx:
            tx.requests.remember("Create", "id-1", "digest", answer, NOW)
    with records.begin() as tx:
        assert tx.requests.find("Create", "id-1", "digest") == b"first"
