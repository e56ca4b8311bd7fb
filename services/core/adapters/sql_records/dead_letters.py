"""Dead letters in SQL."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.statements import insert_missing
from services.core.dead_letter_ports import DeadLetter, DeadLetterRecords
from services.core.domain.errors import NotFound

_D = tables.dead_letters
_FIELDS = tuple(each.name for each in fields(DeadLetter))
_WITHOUT_BODY = [_D.c[name] for name in _FIELDS if name != "body"]


class SqlDeadLetters(DeadLetterRecords):
    """See DeadLetterRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def add(self, letter: DeadLetter) -> bool:
        insert_missing(self._db, _D, [{name: getattr(letter, name) for name in _FIELDS}])
        stored = sa.select(_D.c.id).where(_D.c.message_digest == letter.message_digest)
        return self._db.scalar(stored) == letter.id

    def get(self, letter: str) -> DeadLetter:
        row = self._db.execute(sa.select(_D).where(_D.c.id == letter)).one_or_none()
        if row is None:
            raise NotFound(
                f"deadLetters/{letter} does not exist; `shelflens deadletters list` shows those "
                "that do",
                reason="DEAD_LETTER_NOT_FOUND",
                metadata={"dead_letter": letter},
            )
        return DeadLetter(**row._mapping)

    def page(self, after: str, limit: int, reason: str = "", queue: str = "") -> list[DeadLetter]:
        query = sa.select(*_WITHOUT_BODY)
        if after:
            query = query.where(_D.c.id < after)
        if reason:
            query = query.where(_D.c.reason == reason)
        if queue:
            query = query.where(_D.c.queue == queue)
        return self._listed(query.order_by(_D.c.id.desc()).limit(limit))

    def remove(self, letters: Sequence[str]) -> None:
        self._db.execute(_D.delete().where(_D.c.id.in_(letters)))

    def trim(self, most: int) -> list[DeadLetter]:
        count = self._db.scalar(sa.select(sa.func.count()).select_from(_D)) or 0
        if count <= most:
            return []
        oldest = self._listed(sa.select(*_WITHOUT_BODY).order_by(_D.c.id).limit(count - most))
        self.remove([each.id for each in oldest])
        return oldest

    def count_of(self, message: str) -> int:
        query = sa.select(sa.func.count()).where(_D.c.message == message)
        return self._db.scalar(query) or 0

    def _listed(self, query: sa.Select[Any]) -> list[DeadLetter]:
        return [DeadLetter(**row._mapping, body=b"") for row in self._db.execute(query)]
