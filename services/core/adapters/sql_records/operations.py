"""Long-running operations and remembered requests in SQL."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.statements import insert_missing
from services.core.domain import names
from services.core.domain.errors import FailedPrecondition, InvalidArgument, NotFound
from services.core.domain.operations import (
    VISIBLE_KINDS,
    ImportCounts,
    Operation,
    OperationKind,
    OperationState,
    check_move,
)
from services.core.work_ports import OperationRecords, RequestRecords

_O, _S, _R = tables.operations, tables.shards, tables.requests
_DONE = [state for state in OperationState if state.done]


class SqlOperations(OperationRecords):
    """See OperationRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def create(
        self,
        kind: OperationKind,
        catalog: str,
        revision: int,
        request: Mapping[str, Any],
        now: datetime,
    ) -> Operation:
        operation = Operation(
            id=names.new_id(),
            kind=kind,
            catalog=catalog,
            revision=revision,
            state=OperationState.QUEUED,
            request=dict(request),
            counts=ImportCounts(),
            create_time=now,
            update_time=now,
        )
        self._db.execute(_O.insert(), _values(operation))
        return operation

    def get(self, operation: str) -> Operation:
        row = self._db.execute(sa.select(_O).where(_O.c.id == operation)).one_or_none()
        if row is None:
            raise NotFound(
                f"operations/{operation} does not exist; `shelflens operations list` shows those "
                "that do",
                reason="OPERATION_NOT_FOUND",
                metadata={"operation": operation},
            )
        return _operation(row)

    def page(self, after: str, limit: int, catalog: str = "") -> list[Operation]:
        query = sa.select(_O).where(_O.c.kind.in_(VISIBLE_KINDS))
        if after:
            query = query.where(_O.c.id < after)
        if catalog:
            query = query.where(_O.c.catalog == catalog)
        rows = self._db.execute(query.order_by(_O.c.id.desc()).limit(limit))
        return [_operation(row) for row in rows]

    def cancel(self, operation: str, now: datetime) -> Operation:
        found = self.get(operation)
        if not found.state.done and found.state is not OperationState.CANCELLING:
            check_move(operation, found.state, OperationState.CANCELLING)
            found.state = OperationState.CANCELLING
            found.update_time = now
            self.save(found)
        return found

    def delete(self, operation: str) -> None:
        if not self.get(operation).state.done:
            raise FailedPrecondition(
                f"operations/{operation} is not done; cancel it first",
                reason="OPERATION_RUNNING",
                metadata={"operation": operation},
            )
        self._db.execute(_S.delete().where(_S.c.operation == operation))
        self._db.execute(_O.delete().where(_O.c.id == operation))

    def save(self, operation: Operation) -> None:
        self._db.execute(_O.update().where(_O.c.id == operation.id).values(**_values(operation)))

    def active(self) -> list[Operation]:
        query = sa.select(_O).where(_O.c.state.not_in(_DONE)).order_by(_O.c.id)
        return [_operation(row) for row in self._db.execute(query)]

    def purge(self, kind: OperationKind, before: datetime) -> int:
        chosen = list(
            self._db.scalars(
                sa.select(_O.c.id).where(
                    _O.c.kind == kind, _O.c.state.in_(_DONE), _O.c.end_time < before
                )
            )
        )
        for operation in chosen:
            self.delete(operation)
        return len(chosen)


class SqlRequests(RequestRecords):
    """See RequestRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def find(self, rpc: str, request_id: str, digest: str) -> bytes | None:
        row = self._db.execute(
            sa.select(_R).where(_R.c.rpc == rpc, _R.c.request_id == request_id)
        ).one_or_none()
        if row is not None and row.digest != digest:
            raise InvalidArgument.field(
                "request_id",
                f"{request_id} was used for another {rpc}; make a new UUID4",
                reason="REQUEST_ID_REUSED",
            )
        return None if row is None else bytes(row.answer)

    def remember(
        self, rpc: str, request_id: str, digest: str, answer: bytes, now: datetime
    ) -> None:
        row = {
            "rpc": rpc,
            "request_id": request_id,
            "digest": digest,
            "answer": answer,
            "create_time": now,
        }
        insert_missing(self._db, _R, [row])


def _values(operation: Operation) -> dict[str, Any]:
    return {
        "id": operation.id,
        "kind": operation.kind,
        "catalog": operation.catalog,
        "revision": operation.revision,
        "state": operation.state,
        "request": operation.request,
        "counts": operation.counts.to_json(),
        "total_rows": operation.total_rows,
        "result": operation.result,
        "error_reason": operation.error_reason,
        "error_message": operation.error_message,
        "create_time": operation.create_time,
        "update_time": operation.update_time,
        "end_time": operation.end_time,
    }


def _operation(row: sa.Row[Any]) -> Operation:
    values = dict(row._mapping)
    return Operation(
        **values
        | {
            "kind": OperationKind(row.kind),
            "state": OperationState(row.state),
            "counts": ImportCounts.from_json(row.counts),
        }
    )
