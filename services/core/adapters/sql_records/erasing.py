"""What an erasure looks up and removes, in SQL."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.statements import among
from services.core.content_ports import EmbeddingFile, ErasingRecords, Remains, UnderWay
from services.core.domain import names
from services.core.domain.errors import NotFound
from services.core.domain.operations import OperationState
from services.core.work_ports import ShardState, Stage

_P, _I, _E, _F = (
    tables.products,
    tables.product_images,
    tables.embeddings,
    tables.embedding_files,
)
_C, _L, _R, _O, _S = (
    tables.catalogs,
    tables.claims,
    tables.image_refusals,
    tables.operations,
    tables.shards,
)
_DONE = [state for state in OperationState if state.done]
_BLANK: dict[str, Any] = {
    "title": "",
    "description": "",
    "parent": "",
    "categories": [],
    "labels": [],
    "price": None,
    "stock": None,
    "attributes": {},
    "row_digest": None,
}


class SqlErasing(ErasingRecords):
    """See ErasingRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def remains(self, catalog: str, product: str, sha256: str) -> Remains:
        sku = self._db.scalar(
            sa.select(_P.c.sku).where(_P.c.catalog == catalog, _P.c.id == product)
        )
        query = sa.select(_I.c.sha256, _I.c.source, _I.c.deleted).where(
            _I.c.catalog == catalog, _I.c.product == product
        )
        if sha256:
            query = query.where(_I.c.sha256 == sha256)
        rows = self._db.execute(query.order_by(_I.c.sha256)).all()
        if sku is None or (sha256 and not rows):
            raise _never_there(catalog, product, sha256)
        return Remains(
            sku=sku,
            sha256s=tuple(row.sha256 for row in rows),
            sources=tuple(row.source for row in rows if row.source),
            live=sum(not row.deleted for row in rows),
        )

    def claimed(self, operation: str, after: str, limit: int) -> list[str]:
        query = sa.select(_L.c.sha256).where(_L.c.operation == operation, _L.c.sha256 > after)
        return list(self._db.scalars(query.order_by(_L.c.sha256).limit(limit)))

    def shown(self, sha256s: Sequence[str]) -> set[str]:
        # Two steps: SQLite would walk through whole catalogues for a condition on the hash alone.
        catalogs = list(self._db.scalars(sa.select(_C.c.id).where(~_C.c.deleting)))
        query = (
            sa.select(_I.c.sha256)
            .where(_I.c.catalog.in_(catalogs), among(self._db, _I.c.sha256, sha256s), ~_I.c.deleted)
            .distinct()
        )
        return set(self._db.scalars(query))

    def files_of(self, sha256s: Sequence[str]) -> list[EmbeddingFile]:
        digests = list(self._db.scalars(sa.select(tables.models.c.digest)))
        query = (
            sa.select(_F.c.id, _F.c.key, _E.c.digest)
            .join(_E, _E.c.file == _F.c.id)
            .where(_E.c.digest.in_(digests), among(self._db, _E.c.sha256, sha256s))
            .distinct()
            .order_by(_F.c.id)
        )
        return [EmbeddingFile(row.id, row.key, row.digest) for row in self._db.execute(query)]

    def known_files(self, keys: Sequence[str]) -> set[str]:
        return set(self._db.scalars(sa.select(_F.c.key).where(_F.c.key.in_(keys))))

    def rows_of(self, file: EmbeddingFile, sha256s: Sequence[str]) -> dict[str, int]:
        query = sa.select(_E.c.sha256, _E.c.row).where(
            _E.c.digest == file.digest, among(self._db, _E.c.sha256, sha256s), _E.c.file == file.id
        )
        return {row.sha256: row.row for row in self._db.execute(query)}

    def move(self, file: EmbeddingFile, key: str, kept: Sequence[str], gone: Sequence[str]) -> None:
        self._db.execute(
            _E.delete().where(
                _E.c.digest == file.digest, among(self._db, _E.c.sha256, gone), _E.c.file == file.id
            )
        )
        if not kept:
            self._db.execute(_F.delete().where(_F.c.id == file.id))
            return
        self._db.execute(_F.update().where(_F.c.id == file.id).values(key=key))
        self._db.execute(
            _E.update()
            .where(_E.c.digest == file.digest, _E.c.sha256 == sa.bindparam("of_hash"))
            .values(row=sa.bindparam("at")),
            [{"of_hash": sha256, "at": at} for at, sha256 in enumerate(kept)],
        )

    def forget_file(self, file: EmbeddingFile) -> None:
        self._db.execute(_E.delete().where(_E.c.digest == file.digest, _E.c.file == file.id))
        self._db.execute(_F.delete().where(_F.c.id == file.id))

    def scrub(self, catalog: str, product: str, sha256s: Sequence[str]) -> None:
        self._db.execute(
            _I.update()
            .where(
                _I.c.catalog == catalog,
                _I.c.product == product,
                among(self._db, _I.c.sha256, sha256s),
                _I.c.deleted,
            )
            .values(source="", refusal="")
        )
        self._db.execute(
            _P.update()
            .where(_P.c.catalog == catalog, _P.c.id == product, _P.c.deleted)
            .values(**_BLANK, sku=_P.c.id)
        )

    def forget_refusals(self, sha256s: Sequence[str]) -> None:
        self._db.execute(_R.delete().where(among(self._db, _R.c.sha256, sha256s)))

    def under_way(self) -> list[UnderWay]:
        active = sa.select(_O.c.id).where(_O.c.state.not_in(_DONE))
        fetching = (_S.c.stage == Stage.INGEST) & (_S.c.state == ShardState.IN_FLIGHT)
        query = sa.select(_S.c.operation, _S.c.sequence, _S.c.stage, _S.c.message).where(
            _S.c.operation.in_(active), _S.c.stage.in_([Stage.EMBED, Stage.INDEX]) | fetching
        )
        return [
            UnderWay(
                row.operation,
                row.sequence,
                Stage(row.stage),
                row.message["id"],
                tuple(row.message.get("sha256s", ())),
            )
            for row in self._db.execute(query)
        ]


def _never_there(catalog: str, product: str, sha256: str) -> NotFound:
    name = names.product_name(catalog, product)
    if sha256:
        name = names.image_name(catalog, product, sha256)
    return NotFound(
        f"{name} does not exist and never did: there is nothing to erase",
        reason="IMAGE_NOT_FOUND" if sha256 else "PRODUCT_NOT_FOUND",
        metadata={"image": sha256} if sha256 else {"product": product},
    )
