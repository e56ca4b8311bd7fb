"""Which image has which embedding, in SQL."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.statements import among, insert_missing
from services.core.deployment_ports import DeploymentState
from services.core.domain.catalog import ImageState
from services.core.embedding_ports import EmbeddingRecords

_E, _F, _R, _L = tables.embeddings, tables.embedding_files, tables.image_refusals, tables.claims
_C, _D, _I = tables.catalogs, tables.deployments, tables.product_images


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

    def replace(self, digest: str, key: str, rows: Mapping[str, int]) -> list[tuple[str, str, str]]:
        if not rows:
            return []
        insert_missing(self._db, _F, [{"key": key}])
        file = self._db.scalar(sa.select(_F.c.id).where(_F.c.key == key))
        self._db.execute(
            _E.update()
            .where(_E.c.digest == digest, _E.c.sha256 == sa.bindparam("of_hash"))
            .values(file=file, row=sa.bindparam("at"), picture_hash=None),
            [{"of_hash": sha256, "at": at} for sha256, at in rows.items()],
        )
        # Also where it is built or kept beside the live one: these get every write, too.
        served = sa.select(_C.c.id).join(_D, _C.c.id == _D.c.catalog).distinct()
        mine = (_D.c.model_digest == digest, _D.c.state != DeploymentState.GONE)
        catalogs = list(self._db.scalars(served.where(*mine, ~_C.c.deleting)))
        shown = (_I.c.catalog.in_(catalogs), among(self._db, _I.c.sha256, rows), ~_I.c.deleted)
        query = sa.select(_I.c.catalog, _I.c.product, _I.c.sha256).where(*shown)
        found = [(row.catalog, row.product, row.sha256) for row in self._db.execute(query)]
        self._db.execute(_I.update().where(*shown).values(plan_revision=None))
        searchable = _I.c.state == ImageState.SEARCHABLE
        self._db.execute(_I.update().where(*shown, searchable).values(state=ImageState.PENDING))
        return sorted(found)

    def known(self, digest: str, sha256s: Sequence[str]) -> set[str]:
        if not sha256s:
            return set()
        listed = among(self._db, _E.c.sha256, sha256s)
        query = sa.select(_E.c.sha256).where(_E.c.digest == digest, listed)
        return set(self._db.scalars(query))

    def places(self, digest: str, sha256s: Sequence[str]) -> dict[str, tuple[str, int]]:
        if not sha256s:
            return {}
        listed = among(self._db, _E.c.sha256, sha256s)
        query = sa.select(_E.c.sha256, _F.c.key, _E.c.row).join(_F, _F.c.id == _E.c.file)
        rows = self._db.execute(query.where(_E.c.digest == digest, listed))
        return {row.sha256: (row.key, row.row) for row in rows}

    def pictures(self, digest: str, sha256s: Sequence[str]) -> dict[str, tuple[str, str, int]]:
        if not sha256s:
            return {}
        listed = among(self._db, _E.c.sha256, sha256s)
        query = sa.select(_E.c.sha256, _E.c.picture_hash, _F.c.key, _E.c.row)
        query = query.join(_F, _F.c.id == _E.c.file).where(_E.c.digest == digest, listed)
        rows = self._db.execute(query)
        return {row.sha256: (row.picture_hash or "", row.key, row.row) for row in rows}

    def refuse(self, refused: Mapping[str, str]) -> None:
        rows = [{"sha256": sha256, "reason": reason} for sha256, reason in refused.items()]
        insert_missing(self._db, _R, rows)

    def refusals(self, sha256s: Sequence[str]) -> dict[str, str]:
        if not sha256s:
            return {}
        query = sa.select(_R.c.sha256, _R.c.reason).where(among(self._db, _R.c.sha256, sha256s))
        return {row.sha256: row.reason for row in self._db.execute(query)}

    def claim(self, operation: str, sha256s: Sequence[str]) -> list[str]:
        listed = among(self._db, _L.c.sha256, sha256s)
        query = sa.select(_L.c.sha256).where(_L.c.operation == operation, listed)
        taken = set(self._db.scalars(query))
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
            _L.c.operation == operation, among(self._db, _L.c.sha256, sha256s), _L.c.refusal != ""
        )
        return {row.sha256: row.refusal for row in self._db.execute(query)}

    def forget(self, operation: str) -> None:
        self._db.execute(_L.delete().where(_L.c.operation == operation))
