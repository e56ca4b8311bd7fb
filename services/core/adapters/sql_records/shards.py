"""Shards, the outbox of the coordinator, in SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.statements import insert_missing
from services.core.work_ports import Shard, ShardRecords, ShardState, Stage

_S = tables.shards
_UNFINISHED = [stage for stage in Stage if stage is not Stage.DONE]
# Made once: every step of the coordinator runs these several times.
_KEY = (_S.c.operation == sa.bindparam("of_operation"), _S.c.sequence == sa.bindparam("at"))
_KEYS = ("operation", "sequence")
_ONE = sa.select(_S).where(*_KEY)
_SAVE = _S.update().where(*_KEY)
_LOWEST = sa.select(sa.func.min(_S.c.sequence)).where(
    _S.c.operation == sa.bindparam("of_operation"),
    _S.c.stage == sa.bindparam("in_stage"),
    _S.c.sequence >= sa.bindparam("least"),
)


class SqlShards(ShardRecords):
    """See ShardRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def add(self, shards: Sequence[Shard]) -> None:
        insert_missing(self._db, _S, [_values(each) for each in shards])

    def get(self, operation: str, sequence: int) -> Shard | None:
        return self._one(_ONE, {"of_operation": operation, "at": sequence})

    def save(self, shard: Shard) -> None:
        keys = {"of_operation": shard.operation, "at": shard.sequence}
        values = {name: each for name, each in _values(shard).items() if name not in _KEYS}
        self._db.execute(_SAVE, keys | values)

    def first(self, operation: str, stages: Sequence[Stage]) -> Shard | None:
        lowest = self._lowest(operation, stages)
        return None if lowest is None else self.get(operation, lowest)

    def unfinished(self, operation: str) -> int:
        return self._count(operation, _S.c.stage.in_(_UNFINISHED))

    def next_sequence(self, operation: str) -> int:
        last = self._db.scalar(
            sa.select(sa.func.max(_S.c.sequence)).where(_S.c.operation == operation)
        )
        return 0 if last is None else last + 1

    def reported(self, operation: str, stage: Stage) -> list[Shard]:
        query = (
            sa.select(_S)
            .where(
                _S.c.operation == operation,
                _S.c.stage == stage,
                _S.c.state == ShardState.REPORTED,
            )
            .order_by(_S.c.sequence)
        )
        return [_shard(row) for row in self._db.execute(query)]

    def page(self, operation: str, after: int, limit: int) -> list[Shard]:
        query = (
            sa.select(_S)
            .where(_S.c.operation == operation, _S.c.sequence > after)
            .order_by(_S.c.sequence)
            .limit(limit)
        )
        return [_shard(row) for row in self._db.execute(query)]

    def lease(
        self, operation: str, window: int, now: datetime, until: datetime, stages: Sequence[Stage]
    ) -> list[Shard]:
        in_flight = self._count(operation, _S.c.state == ShardState.IN_FLIGHT)
        first = self._lowest(operation, _UNFINISHED, 0)
        leased: list[Shard] = []
        for stage in sorted(stages, key=list(Stage).index, reverse=True):
            if (left := window - in_flight - len(leased)) <= 0:
                break
            query = (
                sa.select(_S)
                .where(
                    _S.c.operation == operation,
                    _S.c.state == ShardState.READY,
                    _S.c.stage == stage,
                    _S.c.sequence <= (first or 0) + 2 * window,
                )
                .order_by(_S.c.sequence)
                .limit(left)
            )
            leased += [_shard(row) for row in self._db.execute(query)]
        for shard in leased:
            shard.state, shard.lease_until = ShardState.IN_FLIGHT, until
            shard.attempts += 1
            self.save(shard)
        return leased

    def expired(self, now: datetime) -> list[Shard]:
        query = sa.select(_S).where(_S.c.state == ShardState.IN_FLIGHT, _S.c.lease_until < now)
        return [
            _shard(row) for row in self._db.execute(query.order_by(_S.c.operation, _S.c.sequence))
        ]

    def lapse(self, now: datetime | None) -> int:
        expired = _S.c.state == ShardState.IN_FLIGHT
        if now is not None:
            expired &= _S.c.lease_until < now
        return int(self._db.execute(_S.update().where(expired).values(state="ready")).rowcount)

    def drop(self, operation: str, stage: Stage) -> None:
        self._db.execute(_S.delete().where(_S.c.operation == operation, _S.c.stage == stage))

    def _count(self, operation: str, condition: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).where(_S.c.operation == operation, condition)
        return self._db.scalar(query) or 0

    def _lowest(self, operation: str, stages: Sequence[Stage], least: int = -1) -> int | None:
        """Lowest sequence from `least` in these stages: one look into an index for each stage."""
        found = [
            self._db.scalar(_LOWEST, {"of_operation": operation, "in_stage": stage, "least": least})
            for stage in stages
        ]
        return min((each for each in found if each is not None), default=None)

    def _one(self, query: sa.Select[Any], values: dict[str, Any]) -> Shard | None:
        row = self._db.execute(query, values).one_or_none()
        return None if row is None else _shard(row)


def _values(shard: Shard) -> dict[str, Any]:
    return {
        "operation": shard.operation,
        "sequence": shard.sequence,
        "stage": shard.stage,
        "state": shard.state,
        "message": shard.message,
        "report": shard.report,
        "attempts": shard.attempts,
        "lease_until": shard.lease_until,
        "notes": shard.notes,
    }


def _shard(row: sa.Row[Any]) -> Shard:
    return Shard(**dict(row._mapping) | {"stage": Stage(row.stage), "state": ShardState(row.state)})
