"""Which image has which embedding, in SQL."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.statements import insert_missing
from services.core.record_ports import EmbeddingRecords

_E, _F, _R, _L = tables.embeddings, tables.embedding_files, tables.image_refusals, tables.claims


class SqlEmbeddings(EmbeddingRecords):
    """See EmbeddingRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def add(
        self, digest: str, key: str, sha256s: Sequence[str], picture_hashes: Sequence[str] = ()
    ) -> None:
        if not sha256s:
            return
        prints: Sequence[str | None] = picture_hashes or [None] * len(sha256s)
        insert_missing(self._db, _F, [{"key": key}])
        file = self._db.scalar(sa.select(_F.c.id).where(_F.c.key == key))
        insert_missing(
            self._db,
            _E,
            [
                {"digest": digest, "sha256": sha256, "file": file, "row": row, "picture_hash": it}
                for row, (sha256, it) in enumerate(zip(sha256s, prints, strict=True))
            ],
        )

    def known(self, digest: str, sha256s: Sequence[str]) -> set[str]:
        if not sha256s:
            return set()
        query = sa.select(_E.c.sha256).where(_E.c.digest == digest, _E.c.sha256.in_(sha256s))
        return set(self._db.scalars(query))

    def refuse(self, refused: Mapping[str, str]) -> None:
        rows = [{"sha256": sha256, "reason": reason} for sha256, reason in refused.items()]
        insert_missing(self._db, _R, rows)

    def refusals(self, sha256s: Sequence[str]) -> dict[str, str]:
        if not sha256s:
            return {}
        query = sa.select(_R.c.sha256, _R.c.reason).where(_R.c.sha256.in_(sha256s))
        return {row.sha256: row.reason for row in self._db.execute(query)}

    def claim(self, operation: str, sha256s: Sequence[str]) -> list[str]:
        taken = set(
            self._db.scalars(
                sa.select(_L.c.sha256).where(_L.c.operation == operation, _L.c.sha256.in_(sha256s))
            )
        )
        new = [each for each in dict.fromkeys(sha256s) if each not in taken]
        insert_missing(
            self._db,
            _L,
            [{"operation": operation, "sha256": each, "refusal": ""} for each in new],
        )
        return new

    def settle(self, operation: str, refused: Mapping[str, str]) -> None:
        if refused:
            self._db.execute(
                _L.update()
                .where(_L.c.operation == operation, _L.c.sha256 == sa.bindparam("hash"))
                .values(refusal=sa.bindparam("reason")),
                [{"hash": sha256, "reason": reason} for sha256, reason in refused.items()],
            )

    def settled(self, operation: str, sha256s: Sequence[str]) -> dict[str, str]:
        query = sa.select(_L.c.sha256, _L.c.refusal).where(
            _L.c.operation == operation, _L.c.sha256.in_(sha256s), _L.c.refusal != ""
        )
        return {row.sha256: row.refusal for row in self._db.execute(query)}

    def forget(self, operation: str) -> None:
        self._db.execute(_L.delete().where(_L.c.operation == operation))
