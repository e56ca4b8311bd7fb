"""What every RecordStore promises about evaluations."""

from dataclasses import replace

import pytest

from services.core.domain import names
from services.core.domain.errors import FailedPrecondition, NotFound
from services.core.domain.operations import OperationState
from services.core.evaluation_ports import EvaluatedModel, Evaluation
from services.core.record_ports import RecordStore
from tests.contract import record_stores
from tests.contract.record_stores import ANOTHER_DIGEST, DIGEST, NOW, later

records = record_stores.records


def evaluation(**fields: object) -> Evaluation:
    """One of two models; later ones are newer."""
    made = Evaluation(
        id=names.new_id(),
        dataset="shelf",
        catalog="shop",
        stages='{"fold":{"similarity":0.99}}',
        options='{"ks":[1,5,10]}',
        models=(EvaluatedModel("lite", DIGEST), EvaluatedModel("another", ANOTHER_DIGEST)),
        operation="op",
        state=OperationState.QUEUED,
        create_time=NOW,
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # the test names them


def add(records: RecordStore, *made: Evaluation) -> None:
    with records.begin(write=True) as tx:
        for each in made:
            tx.evaluations.add(each)


def test_an_evaluation_is_read_as_it_was_added(records: RecordStore) -> None:
    made = evaluation()
    add(records, made, evaluation())
    with records.begin() as tx:
        assert tx.evaluations.get(made.id) == made


def test_what_came_of_it_is_kept_whole(records: RecordStore) -> None:
    made = evaluation()
    add(records, made)
    estimate = {"value": 0.1 + 0.2, "low": 1e-300, "high": 1.0}
    done = replace(
        made,
        models=(
            EvaluatedModel("lite", DIGEST, {"product": {"map@10": estimate}}, {"knots": [[0, 1]]}),
            made.models[1],
        ),
        state=OperationState.SUCCEEDED,
        end_time=later(60),
        report=f"evaluations/{made.id}/report.html",
        differences=({"baseline": 0, "model": 1, "metrics": {"map@10": estimate}},),
    )
    with records.begin(write=True) as tx:
        tx.evaluations.save(done)
    with records.begin() as tx:
        assert tx.evaluations.get(made.id) == done


def test_pages_are_newest_first_and_end(records: RecordStore) -> None:
    made = [evaluation(dataset="even" if n % 2 == 0 else "odd") for n in range(5)]
    add(records, *made)
    ids = [each.id for each in made[::-1]]
    seen: list[str] = []
    with records.begin() as tx:
        while page := tx.evaluations.page(seen[-1] if seen else "", 2):
            seen += [each.id for each in page]
        assert seen == ids
        assert [each.id for each in tx.evaluations.page("", 9, "even")] == ids[::2]
        assert [each.id for each in tx.evaluations.page(ids[0], 1, "even")] == [ids[2]]
        assert tx.evaluations.page("", 9, "neither") == []


def test_an_evaluation_that_does_not_exist_is_not_found(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        for use in (tx.evaluations.get, tx.evaluations.remove):
            with pytest.raises(NotFound) as caught:
                use("none")
            assert caught.value.reason == "EVALUATION_NOT_FOUND"


@pytest.mark.parametrize("state", list(OperationState))
def test_only_what_is_done_can_be_removed(records: RecordStore, state: OperationState) -> None:
    made, other = evaluation(state=state), evaluation()
    add(records, made, other)
    if not state.done:
        with pytest.raises(FailedPrecondition) as caught, records.begin(write=True) as tx:
            tx.evaluations.remove(made.id)
        assert caught.value.reason == "EVALUATION_RUNNING"
        return
    with records.begin(write=True) as tx:
        tx.evaluations.remove(made.id)
    with records.begin() as tx:
        assert tx.evaluations.page("", 9) == [other]
