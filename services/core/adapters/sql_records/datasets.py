"""Datasets in SQL."""

from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.domain.errors import AlreadyExists, FailedPrecondition, NotFound
from services.core.domain.operations import OperationState
from services.core.evaluation_ports import Dataset, DatasetRecords

_D, _E = tables.datasets, tables.evaluations
_NAMES = tuple(each.name for each in fields(Dataset))
_DONE = [state for state in OperationState if state.done]
_FAILED = (OperationState.FAILED, OperationState.CANCELLED)


class SqlDatasets(DatasetRecords):
    """See DatasetRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def add(self, dataset: Dataset) -> None:
        state = self._db.scalar(sa.select(_D.c.state).where(_D.c.id == dataset.id))
        if state is not None and state not in _FAILED:
            raise AlreadyExists(
                f"datasets/{dataset.id} exists already: choose another id, or delete it",
                reason="DATASET_EXISTS",
                metadata={"dataset": dataset.id},
            )
        self._db.execute(_D.delete().where(_D.c.id == dataset.id))
        self._db.execute(_D.insert(), _values(dataset))

    def get(self, dataset: str) -> Dataset:
        row = self._db.execute(sa.select(_D).where(_D.c.id == dataset)).one_or_none()
        if row is None:
            raise _not_found(dataset)
        return _dataset(row)

    def page(self, after: str, limit: int) -> list[Dataset]:
        query = sa.select(_D).where(_D.c.id > after).order_by(_D.c.id).limit(limit)
        return [_dataset(row) for row in self._db.execute(query)]

    def save(self, dataset: Dataset) -> None:
        self._db.execute(_D.update().where(_D.c.id == dataset.id).values(**_values(dataset)))

    def remove(self, dataset: str) -> None:
        self.get(dataset)
        running = sa.select(_E.c.id).where(_E.c.dataset == dataset, _E.c.state.not_in(_DONE))
        if (evaluation := self._db.scalar(running.limit(1))) is not None:
            raise FailedPrecondition(
                f"evaluations/{evaluation} runs on datasets/{dataset}: wait for it, or cancel it",
                reason="DATASET_IN_USE",
                metadata={"evaluation": f"evaluations/{evaluation}"},
            )
        self._db.execute(_D.delete().where(_D.c.id == dataset))


def _values(dataset: Dataset) -> dict[str, Any]:
    return asdict(dataset) | {"counts": dict(dataset.counts)}


def _dataset(row: sa.Row[Any]) -> Dataset:
    values = {name: row._mapping[name] for name in _NAMES}
    return Dataset(**values | {"state": OperationState(row.state)})


def _not_found(dataset: str) -> NotFound:
    return NotFound(
        f"datasets/{dataset} does not exist; `shelflens datasets list` shows those that do",
        reason="DATASET_NOT_FOUND",
        metadata={"dataset": dataset},
    )
