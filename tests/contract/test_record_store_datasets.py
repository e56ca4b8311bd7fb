"""What every RecordStore promises about datasets."""

from dataclasses import replace

import pytest

from services.core.domain.errors import AlreadyExists, FailedPrecondition, NotFound
from services.core.domain.operations import OperationState
from services.core.evaluation_ports import Dataset
from services.core.record_ports import RecordStore
from tests.contract import record_stores
from tests.contract.record_stores import NOW, later
from tests.contract.test_record_store_evaluations import evaluation

records = record_stores.records


def dataset(name: str, **fields: object) -> Dataset:
    made = Dataset(
        id=name,
        catalog="shop",
        display_name="Läden 🛒.csv",
        allow_absent=True,
        build="b1",
        operation="op",
        state=OperationState.SUCCEEDED,
        counts={"queries": 1 << 40},
        create_time=NOW,
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # the test names them


def add(records: RecordStore, *made: Dataset) -> None:
    with records.begin(write=True) as tx:
        for each in made:
            tx.datasets.add(each)


def test_a_dataset_is_read_as_it_was_added(records: RecordStore) -> None:
    made = dataset("shelf", error_reason="WHY", error_message="because \ud800\x00")
    add(records, made)
    with records.begin() as tx:
        assert tx.datasets.get("shelf") == replace(made, error_message="because ?")


def test_what_is_saved_replaces_what_was_there(records: RecordStore) -> None:
    add(records, dataset("shelf"), dataset("other"))
    now = dataset("shelf", state=OperationState.FAILED, counts={}, build="b2", error_reason="X")
    with records.begin(write=True) as tx:
        tx.datasets.save(now)
        assert tx.datasets.get("shelf") == now
        assert tx.datasets.get("other") == dataset("other")


@pytest.mark.parametrize(
    "state", [OperationState.QUEUED, OperationState.RUNNING, OperationState.SUCCEEDED]
)
def test_an_id_that_is_taken_is_refused(records: RecordStore, state: OperationState) -> None:
    add(records, dataset("shelf", state=state))
    with pytest.raises(AlreadyExists) as caught:
        add(records, dataset("shelf", build="b2"))
    assert caught.value.reason == "DATASET_EXISTS"
    with records.begin() as tx:
        assert tx.datasets.get("shelf").build == "b1"


@pytest.mark.parametrize("state", [OperationState.FAILED, OperationState.CANCELLED])
def test_one_that_could_not_be_made_gives_its_id_away(
    records: RecordStore, state: OperationState
) -> None:
    add(records, dataset("shelf", state=state))
    add(records, dataset("shelf", build="b2", create_time=later(1)))
    with records.begin() as tx:
        assert tx.datasets.get("shelf").build == "b2"
        assert len(tx.datasets.page("", 9)) == 1


def test_pages_follow_the_order_of_ids_and_end(records: RecordStore) -> None:
    ids = ["a", "a-b", "a1", "b", "z9"]
    add(records, *(dataset(each) for each in reversed(ids)))
    seen: list[str] = []
    with records.begin() as tx:
        while page := tx.datasets.page(seen[-1] if seen else "", 2):
            assert len(page) <= 2
            seen += [each.id for each in page]
    assert seen == sorted(ids)


def test_a_dataset_that_does_not_exist_is_not_found(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        for use in (tx.datasets.get, tx.datasets.remove):
            with pytest.raises(NotFound) as caught:
                use("none")
            assert caught.value.reason == "DATASET_NOT_FOUND"


def test_a_dataset_stays_while_an_evaluation_runs_on_it(records: RecordStore) -> None:
    add(records, dataset("shelf"))
    running = evaluation(dataset="shelf", state=OperationState.RUNNING)
    with records.begin(write=True) as tx:
        tx.evaluations.add(running)
        tx.evaluations.add(evaluation(dataset="shelf", state=OperationState.SUCCEEDED))
    with pytest.raises(FailedPrecondition) as caught, records.begin(write=True) as tx:
        tx.datasets.remove("shelf")
    assert caught.value.reason == "DATASET_IN_USE"
    assert f"evaluations/{running.id}" in caught.value.message
    with records.begin(write=True) as tx:
        tx.evaluations.save(replace(running, state=OperationState.CANCELLED))
        tx.datasets.remove("shelf")
        assert tx.datasets.page("", 9) == []
        assert len(tx.evaluations.page("", 9)) == 2
