"""Catalogues in SQL."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.deployments import (
    LIVE,
    catalog_not_found,
    new_deployment,
    to_deployment,
)
from services.core.adapters.sql_records.models import SqlModels
from services.core.deployment_ports import Deployment, DeploymentState
from services.core.domain.catalog import Catalog, ImageState
from services.core.domain.errors import AlreadyExists
from services.core.domain.external_model import is_external
from services.core.record_ports import CatalogRecords

_C, _D, _P, _I = tables.catalogs, tables.deployments, tables.products, tables.product_images
_F = tables.feedback
# Whatever belongs to a catalogue, with what tells its rows apart there.
_BELONGINGS: tuple[tuple[sa.Table, tuple[sa.Column[Any], ...]], ...] = (
    (_I, (_I.c.product, _I.c.sha256)),
    (_P, (_P.c.id,)),
    (_F, (_F.c.id,)),
    (tables.calibrations, (tables.calibrations.c.model_digest, tables.calibrations.c.stages)),
    (tables.evaluations, (tables.evaluations.c.id,)),
    (tables.datasets, (tables.datasets.c.id,)),
)


class SqlCatalogs(CatalogRecords):
    """See CatalogRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def create(
        self, catalog: str, display_name: str, model: str, now: datetime, *, shared: bool = False
    ) -> Catalog:
        if self._db.scalar(sa.select(_C.c.id).where(_C.c.id == catalog)):
            raise AlreadyExists(
                f"catalogs/{catalog} exists already, or is still being deleted",
                reason="CATALOG_EXISTS",
                metadata={"catalog": catalog},
            )
        found = SqlModels(self._db).get(model)
        self._db.execute(
            _C.insert(),
            {
                "id": catalog,
                "display_name": display_name,
                "revision": 0,
                "deployment": 1,
                "deleting": False,
                "create_time": now,
                "update_time": now,
            },
        )
        row = new_deployment(catalog, 1, found, now, shared=shared)
        row |= {"state": DeploymentState.LIVE, "switch_time": now}
        self._db.execute(_D.insert(), row)
        return self.get(catalog)

    def get(self, catalog: str) -> Catalog:
        row = self._db.execute(self._select().where(_C.c.id == catalog)).one_or_none()
        if row is None:
            raise catalog_not_found(catalog)
        return _catalog(row)

    def page(self, after: str, limit: int) -> list[Catalog]:
        query = self._select().where(_C.c.id > after).order_by(_C.c.id).limit(limit)
        return [_catalog(row) for row in self._db.execute(query)]

    def rename(self, catalog: str, display_name: str, now: datetime) -> Catalog:
        self.get(catalog)
        self._db.execute(
            _C.update().where(_C.c.id == catalog).values(display_name=display_name, update_time=now)
        )
        return self.get(catalog)

    def keep_photos(self, catalog: str, days: int, now: datetime) -> Catalog:
        self.get(catalog)
        self._db.execute(
            _C.update().where(_C.c.id == catalog).values(feedback_photo_days=days, update_time=now)
        )
        if not days:
            # What is kept is not kept any longer, whatever was said when it was taken.
            kept = (_F.c.catalog == catalog) & (_F.c.expire_time > now)
            self._db.execute(_F.update().where(kept).values(expire_time=now))
        return self.get(catalog)

    def photo_days(self, catalog: str) -> int:
        kept = sa.select(_C.c.feedback_photo_days).where(_C.c.id == catalog, ~_C.c.deleting)
        days = self._db.scalar(kept)
        if days is None:
            raise catalog_not_found(catalog)
        return int(days)

    def next_revision(self, catalog: str) -> int:
        revision = self._db.scalar(
            _C.update()
            .where(_C.c.id == catalog, ~_C.c.deleting)
            .values(revision=_C.c.revision + 1)
            .returning(_C.c.revision)
        )
        if revision is None:
            raise catalog_not_found(catalog)
        return int(revision)

    def deployment(self, catalog: str) -> Deployment:
        row = self._db.execute(LIVE, {"of_catalog": catalog}).one_or_none()
        if row is None:
            raise catalog_not_found(catalog)
        return to_deployment(row)

    def mark_deleting(self, catalog: str) -> None:
        self._db.execute(_C.update().where(_C.c.id == catalog).values(deleting=True))

    def remove_rows(self, catalog: str, limit: int) -> int:
        # Asked again after the last row: by then somebody may have made a catalogue of this name.
        if not self._db.scalar(sa.select(_C.c.deleting).where(_C.c.id == catalog)):
            return 0
        for table, key in _BELONGINGS:
            chosen = sa.select(*key).where(table.c.catalog == catalog).limit(limit)
            result = self._db.execute(
                table.delete().where(table.c.catalog == catalog, sa.tuple_(*key).in_(chosen))
            )
            if result.rowcount:
                return int(result.rowcount)
        self._db.execute(_D.delete().where(_D.c.catalog == catalog))
        self._db.execute(_C.delete().where(_C.c.id == catalog))
        return 0

    def indexed(self, catalog: str, now: datetime) -> None:
        self._db.execute(_C.update().where(_C.c.id == catalog).values(index_time=now))

    def _select(self) -> sa.Select[Any]:
        products = sa.select(sa.func.count()).where(_P.c.catalog == _C.c.id, ~_P.c.deleted)
        images = sa.select(sa.func.count()).where(
            _I.c.catalog == _C.c.id, ~_I.c.deleted, _I.c.state == ImageState.SEARCHABLE
        )
        return (
            sa.select(
                _C,
                _D.c.model,
                _D.c.model_digest,
                _D.c.collection,
                _D.c.dimension,
                tables.models.c.spec,
                products.scalar_subquery().label("product_count"),
                images.scalar_subquery().label("image_count"),
            )
            .join(_D, (_C.c.id == _D.c.catalog) & (_C.c.deployment == _D.c.number))
            .join(tables.models, tables.models.c.digest == _D.c.model_digest)
            .where(~_C.c.deleting)
        )


def _catalog(row: sa.Row[Any]) -> Catalog:
    values = dict(row._mapping)
    for name in ("deployment", "comparing", "calibration_version"):
        del values[name]
    values["external"] = is_external(values.pop("spec"))
    return Catalog(**values)
