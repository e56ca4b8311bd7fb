"""Deployments in SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.models import SqlModels
from services.core.adapters.sql_records.statements import upsert
from services.core.deployment_ports import (
    Deployment,
    DeploymentRecords,
    DeploymentState,
    ModelRecord,
)
from services.core.domain import names
from services.core.domain.errors import FailedPrecondition, NotFound

_C, _D, _W = tables.catalogs, tables.deployments, tables.query_workers
_SELECT = sa.select(_D, _C.c.index_time, _C.c.comparing, _C.c.calibration_version).join(
    _C, (_C.c.id == _D.c.catalog) & ~_C.c.deleting
)
# Every search asks for the first, every step of the coordinator for the second: building the
# statements anew would take longer than running them.
LIVE = _SELECT.where(_C.c.deployment == _D.c.number, _C.c.id == sa.bindparam("of_catalog"))
_TARGETS = _SELECT.where(
    _D.c.catalog == sa.bindparam("of_catalog"), _D.c.state != DeploymentState.GONE
).order_by(_D.c.state != DeploymentState.LIVE, _D.c.number.desc())
_FORGOTTEN = timedelta(days=1)


class SqlDeployments(DeploymentRecords):
    """See DeploymentRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def page(self, catalog: str, before: int | None, limit: int) -> list[Deployment]:
        query = _SELECT.where(_D.c.catalog == catalog).order_by(_D.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(_D.c.number < before)
        return [to_deployment(row) for row in self._db.execute(query)]

    def get(self, catalog: str, number: int) -> Deployment:
        query = _SELECT.where(_D.c.catalog == catalog, _D.c.number == number)
        row = self._db.execute(query).one_or_none()
        if row is None:
            raise _not_found(catalog, number)
        return to_deployment(row)

    def targets(self, catalog: str) -> list[Deployment]:
        rows = self._db.execute(_TARGETS, {"of_catalog": catalog})
        return [to_deployment(row) for row in rows]

    def using(self, digest: str) -> list[Deployment]:
        query = _SELECT.where(_D.c.model_digest == digest, _D.c.state != DeploymentState.GONE)
        rows = self._db.execute(query.order_by(_D.c.catalog, _D.c.number))
        return [to_deployment(row) for row in rows]

    def serving(self) -> list[str]:
        live_first = sa.func.min(sa.cast(_D.c.state != DeploymentState.LIVE, sa.Integer))
        query = (
            sa.select(_D.c.model_digest)
            .join(_C, (_C.c.id == _D.c.catalog) & ~_C.c.deleting)
            .where(_D.c.state != DeploymentState.GONE)
            .group_by(_D.c.model_digest)
            .order_by(live_first, _D.c.model_digest)
        )
        return list(self._db.scalars(query))

    def add(
        self, catalog: str, model: str, storage: Mapping[str, Any], now: datetime
    ) -> Deployment:
        there = sa.select(_C.c.id).where(_C.c.id == catalog, ~_C.c.deleting)
        if self._db.scalar(there) is None:
            raise catalog_not_found(catalog)
        building = sa.select(_D.c.number).where(
            _D.c.catalog == catalog, _D.c.state == DeploymentState.BUILDING
        )
        if (running := self._db.scalar(building)) is not None:
            raise FailedPrecondition(
                f"catalogs/{catalog}/deployments/{running} is being built: wait for it, or cancel "
                "its operation",
                reason="DEPLOY_RUNNING",
                metadata={"deployment": f"catalogs/{catalog}/deployments/{running}"},
            )
        last = sa.select(sa.func.max(_D.c.number)).where(_D.c.catalog == catalog)
        number = int(self._db.scalar(last) or 0) + 1
        found = SqlModels(self._db).get(model)
        row = new_deployment(catalog, number, found, now)
        row |= {"state": DeploymentState.BUILDING, "storage": dict(storage)}
        self._db.execute(_D.insert(), row)
        return self.get(catalog, number)

    def switch(self, catalog: str, number: int, now: datetime) -> Deployment:
        found = self.get(catalog, number)
        if found.state is DeploymentState.GONE:
            raise FailedPrecondition(
                f"catalogs/{catalog}/deployments/{number} is gone: deploy its model again",
                reason="DEPLOYMENT_NOT_KEPT",
            )
        was_live = (_D.c.catalog == catalog) & (_D.c.state == DeploymentState.LIVE)
        self._db.execute(_D.update().where(was_live).values(state=DeploymentState.KEPT))
        self._update(catalog, number, state=DeploymentState.LIVE, switch_time=now)
        self._db.execute(
            _C.update().where(_C.c.id == catalog).values(deployment=number, comparing=0)
        )
        return self.get(catalog, number)

    def remove(self, catalog: str, number: int) -> Deployment:
        found = self.get(catalog, number)
        if found.state is DeploymentState.LIVE:
            raise FailedPrecondition(
                f"catalogs/{catalog}/deployments/{number} answers searches: deploy another model "
                "or roll back first",
                reason="DEPLOYMENT_LIVE",
            )
        self._update(catalog, number, state=DeploymentState.GONE)
        if found.comparing == number:
            self.compare(catalog, 0)
        return self.get(catalog, number)

    def compare(self, catalog: str, number: int) -> None:
        self._db.execute(_C.update().where(_C.c.id == catalog).values(comparing=number))

    def note_comparison(
        self, catalog: str, number: int, searches: int, same: int, overlap: float
    ) -> None:
        known = self.get(catalog, number).comparison
        if not searches:
            return
        before = int(known.get("searches", 0))
        count = before + searches
        told = {
            "searches": count,
            "same_first": (known.get("same_first", 0.0) * before + same) / count,
            "overlap_at_10": (known.get("overlap_at_10", 0.0) * before + overlap) / count,
        }
        self._update(catalog, number, comparison=told)

    def note_gate(self, catalog: str, number: int, gate: Mapping[str, Any]) -> None:
        self.get(catalog, number)
        self._update(catalog, number, gate=dict(gate))

    def workers(self, since: datetime) -> dict[str, tuple[str, ...]]:
        rows = self._db.execute(sa.select(_W).where(_W.c.seen_time >= since))
        return {row.id: tuple(row.models) for row in rows}

    def note_worker(self, worker: str, models: Sequence[str], now: datetime) -> None:
        upsert(self._db, _W, [{"id": worker, "models": list(models), "seen_time": now}])
        self._db.execute(_W.delete().where(_W.c.seen_time < now - _FORGOTTEN))

    def _update(self, catalog: str, number: int, **values: Any) -> None:
        chosen = (_D.c.catalog == catalog) & (_D.c.number == number)
        self._db.execute(_D.update().where(chosen).values(**values))


def new_deployment(
    catalog: str, number: int, model: ModelRecord, now: datetime, *, shared: bool = False
) -> dict[str, Any]:
    """A row with a collection of its own, or with a place in the one of its model.

    A new one for every deployment ever made: one that is deleted and made again never meets the
    points of its predecessor.
    """
    digest, mark = model.digest[:12], names.new_id()[-8:]
    return {
        "catalog": catalog,
        "number": number,
        "model": model.name,
        "model_digest": model.digest,
        "collection": f"shared.{digest}" if shared else f"{catalog}.{digest}.{mark}",
        "tenant": f"{catalog}.{mark}" if shared else "",
        "dimension": model.spec["embedding_dim"],
        "distance": model.spec["distance"],
        "create_time": now,
        "storage": {},
        "comparison": {},
        "gate": {},
    }


def to_deployment(row: sa.Row[Any]) -> Deployment:
    values = dict(row._mapping)
    values["state"] = DeploymentState(values["state"])
    return Deployment(**values)


def catalog_not_found(catalog: str) -> NotFound:
    return NotFound(
        f"catalogs/{catalog} does not exist; create it with "
        f"`shelflens catalogs create {catalog}` or list those that do",
        reason="CATALOG_NOT_FOUND",
        metadata={"catalog": catalog},
    )


def _not_found(catalog: str, number: int) -> NotFound:
    return NotFound(
        f"catalogs/{catalog}/deployments/{number} does not exist; "
        f"`shelflens deployments list {catalog}` shows those that do",
        reason="DEPLOYMENT_NOT_FOUND",
        metadata={"deployment": f"catalogs/{catalog}/deployments/{number}"},
    )
