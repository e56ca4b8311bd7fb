"""What users said, in SQL."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.statements import among
from services.core.domain.errors import NotFound
from services.core.evaluation_ports import Feedback, FeedbackRecords

_F = tables.feedback
_NAMES = tuple(each.name for each in fields(Feedback))


class SqlFeedback(FeedbackRecords):
    """See FeedbackRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def add(self, feedback: Feedback) -> None:
        self._db.execute(_F.insert(), asdict(feedback))

    def get(self, catalog: str, feedback: str) -> Feedback:
        query = sa.select(_F).where(_F.c.id == feedback, _F.c.catalog == catalog)
        row = self._db.execute(query).one_or_none()
        if row is None:
            raise NotFound(
                f"catalogs/{catalog}/feedback/{feedback} does not exist; "
                f"`shelflens feedback list {catalog}` shows what does",
                reason="FEEDBACK_NOT_FOUND",
                metadata={"feedback": feedback},
            )
        return _feedback(row)

    def page(self, catalog: str, after: str, limit: int) -> list[Feedback]:
        query = sa.select(_F).where(_F.c.catalog == catalog, _F.c.id > after)
        return self._listed(query.order_by(_F.c.id).limit(limit))

    def expired(self, now: datetime, limit: int) -> list[Feedback]:
        query = sa.select(_F).where(_F.c.expire_time <= now)
        return self._listed(query.order_by(_F.c.expire_time, _F.c.id).limit(limit))

    def forget_photos(self, ids: Sequence[str]) -> None:
        self._db.execute(_F.update().where(among(self._db, _F.c.id, ids)).values(expire_time=None))

    def keeps_photo(self, catalog: str, photo: str, now: datetime) -> bool:
        kept = sa.select(_F.c.id).where(
            _F.c.photo == photo, _F.c.catalog == catalog, _F.c.expire_time > now
        )
        return self._db.scalar(kept.limit(1)) is not None

    def with_photos(self, photos: Sequence[str]) -> list[Feedback]:
        chosen = among(self._db, _F.c.photo, photos)
        query = sa.select(_F).where(chosen, _F.c.expire_time.is_not(None))
        return self._listed(query.order_by(_F.c.id))

    def _listed(self, query: sa.Select[Any]) -> list[Feedback]:
        return [_feedback(row) for row in self._db.execute(query)]


def _feedback(row: sa.Row[Any]) -> Feedback:
    return Feedback(**{name: row._mapping[name] for name in _NAMES})
