"""Evaluations in SQL."""

from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.domain.errors import FailedPrecondition, NotFound
from services.core.domain.operations import OperationState
from services.core.evaluation_ports import EvaluatedModel, Evaluation, EvaluationRecords

_E = tables.evaluations
_NAMES = tuple(each.name for each in fields(Evaluation))


class SqlEvaluations(EvaluationRecords):
    """See EvaluationRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def add(self, evaluation: Evaluation) -> None:
        self._db.execute(_E.insert(), _values(evaluation))

    def get(self, evaluation: str) -> Evaluation:
        row = self._db.execute(sa.select(_E).where(_E.c.id == evaluation)).one_or_none()
        if row is None:
            raise _not_found(evaluation)
        return _evaluation(row)

    def page(self, after: str, limit: int, dataset: str = "") -> list[Evaluation]:
        query = sa.select(_E)
        if after:
            query = query.where(_E.c.id < after)
        if dataset:
            query = query.where(_E.c.dataset == dataset)
        rows = self._db.execute(query.order_by(_E.c.id.desc()).limit(limit))
        return [_evaluation(row) for row in rows]

    def save(self, evaluation: Evaluation) -> None:
        chosen = _E.c.id == evaluation.id
        self._db.execute(_E.update().where(chosen).values(**_values(evaluation)))

    def remove(self, evaluation: str) -> None:
        if not self.get(evaluation).state.done:
            raise FailedPrecondition(
                f"evaluations/{evaluation} is not done: wait for it, or cancel it",
                reason="EVALUATION_RUNNING",
                metadata={"evaluation": f"evaluations/{evaluation}"},
            )
        self._db.execute(_E.delete().where(_E.c.id == evaluation))


def _values(evaluation: Evaluation) -> dict[str, Any]:
    return {name: getattr(evaluation, name) for name in _NAMES} | {
        "models": [asdict(each) for each in evaluation.models],
        "differences": [dict(each) for each in evaluation.differences],
    }


def _evaluation(row: sa.Row[Any]) -> Evaluation:
    values = {name: row._mapping[name] for name in _NAMES}
    values["state"] = OperationState(row.state)
    values["models"] = tuple(EvaluatedModel(**each) for each in row.models)
    values["differences"] = tuple(row.differences)
    return Evaluation(**values)


def _not_found(evaluation: str) -> NotFound:
    return NotFound(
        f"evaluations/{evaluation} does not exist; `shelflens evaluations list` shows those "
        "that do",
        reason="EVALUATION_NOT_FOUND",
        metadata={"evaluation": evaluation},
    )
