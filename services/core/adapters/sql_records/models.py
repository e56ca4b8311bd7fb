"""Models in SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.statements import insert_missing, upsert
from services.core.deployment_ports import ModelRecord, ModelRecords
from services.core.domain.errors import NotFound
from services.core.domain.model import Model

_M, _N = tables.models, tables.model_names
_NAMED = sa.select(_N, _M.c.spec).join(_M, _M.c.digest == _N.c.digest)


class SqlModels(ModelRecords):
    """See ModelRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def put(
        self,
        name: str,
        digest: str,
        spec: Mapping[str, Any],
        now: datetime,
        notes: Sequence[str] = (),
    ) -> None:
        parts = {digest: dict(spec)}
        if "members" in spec:
            # Embeddings lie under the digests of embedders: these are known for themselves.
            parts |= {each.digest: each.to_dict() for each in Model.from_dict(spec).embedders}
        insert_missing(
            self._db,
            _M,
            [
                {
                    "digest": part,
                    "name": name if part == digest else "",
                    "spec": described,
                    "create_time": now,
                }
                for part, described in parts.items()
            ],
        )
        known = self._db.scalar(sa.select(_N.c.digest).where(_N.c.name == name))
        if known == digest:
            return  # as it is told at every start
        named = {"name": name, "digest": digest, "notes": list(notes), "create_time": now}
        upsert(self._db, _N, [named])

    def named(self, name: str) -> dict[str, Any] | None:
        row = self._db.execute(_NAMED.where(_N.c.name == name)).one_or_none()
        return None if row is None else dict(row.spec)

    def get(self, name: str) -> ModelRecord:
        row = self._db.execute(_NAMED.where(_N.c.name == name)).one_or_none()
        if row is None:
            raise model_not_found(name)
        return _record(row)

    def page(self, after: str, limit: int) -> list[ModelRecord]:
        query = _NAMED.where(_N.c.name > after).order_by(_N.c.name).limit(limit)
        return [_record(row) for row in self._db.execute(query)]

    def spec(self, digest: str) -> dict[str, Any]:
        spec = self._db.scalar(sa.select(_M.c.spec).where(_M.c.digest == digest))
        if spec is None:
            raise NotFound(f"no model has the digest {digest}", reason="MODEL_NOT_FOUND")
        return dict(spec)

    def remove(self, name: str) -> None:
        if not self._db.execute(_N.delete().where(_N.c.name == name)).rowcount:
            raise model_not_found(name)


def model_not_found(name: str) -> NotFound:
    return NotFound(
        f"models/{name} does not exist; `shelflens models list` shows those that do",
        reason="MODEL_NOT_FOUND",
        metadata={"model": f"models/{name}"},
    )


def _record(row: sa.Row[Any]) -> ModelRecord:
    return ModelRecord(row.name, row.digest, dict(row.spec), row.create_time, tuple(row.notes))
