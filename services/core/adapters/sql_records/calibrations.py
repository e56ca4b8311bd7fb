"""Calibrations in SQL."""

from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.deployments import catalog_not_found
from services.core.adapters.sql_records.statements import upsert
from services.core.evaluation_ports import CalibrationRecord, CalibrationRecords

_K, _C = tables.calibrations, tables.catalogs
_NAMES = tuple(each.name for each in fields(CalibrationRecord))


class SqlCalibrations(CalibrationRecords):
    """See CalibrationRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def put(self, record: CalibrationRecord) -> None:
        self._count(record.catalog)
        upsert(self._db, _K, [asdict(record) | {"fitted": dict(record.fitted)}])

    def current(self, catalog: str, model_digest: str, stages: str) -> CalibrationRecord | None:
        chosen = sa.select(_K).where(*_key(catalog, model_digest, stages))
        row = self._db.execute(chosen).one_or_none()
        return None if row is None else _record(row)

    def page(self, catalog: str) -> list[CalibrationRecord]:
        query = sa.select(_K).where(_K.c.catalog == catalog)
        ordered = query.order_by(_K.c.create_time.desc(), _K.c.model_digest, _K.c.stages)
        return [_record(row) for row in self._db.execute(ordered)]

    def remove(self, catalog: str, model_digest: str, stages: str) -> None:
        self._count(catalog)
        self._db.execute(_K.delete().where(*_key(catalog, model_digest, stages)))

    def _count(self, catalog: str) -> None:
        counted = (
            _C.update()
            .where(_C.c.id == catalog, ~_C.c.deleting)
            .values(calibration_version=_C.c.calibration_version + 1)
        )
        if not self._db.execute(counted).rowcount:
            raise catalog_not_found(catalog)


def _key(catalog: str, model_digest: str, stages: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _K.c.catalog == catalog,
        _K.c.model_digest == model_digest,
        _K.c.stages == stages,
    )


def _record(row: sa.Row[Any]) -> CalibrationRecord:
    return CalibrationRecord(**{name: row._mapping[name] for name in _NAMES})
