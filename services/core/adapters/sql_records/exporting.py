"""What an export of embeddings reads, in SQL."""

from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.statements import among
from services.core.content_ports import ExportRecords, StoredEmbedding
from services.core.domain.catalog import ImageState

_P, _I, _E, _F = (
    tables.products,
    tables.product_images,
    tables.embeddings,
    tables.embedding_files,
)
_PRODUCTS = 1_000  # in one query


class SqlExport(ExportRecords):
    """See ExportRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def files(self, catalog: str, digest: str, after: int, limit: int) -> list[int]:
        query = (
            sa.select(_E.c.file)
            .join(_I, _I.c.sha256 == _E.c.sha256)
            .where(_E.c.digest == digest, _E.c.file > after, *_searchable(catalog))
            .distinct()
            .order_by(_E.c.file)
            .limit(limit)
        )
        return list(self._db.scalars(query))

    def key(self, file: int) -> str:
        return self._db.scalar(sa.select(_F.c.key).where(_F.c.id == file)) or ""

    def rows(
        self, catalog: str, digest: str, file: int, sha256s: Sequence[str]
    ) -> list[StoredEmbedding]:
        # One table a query, each with an index for just that: as one join SQLite would walk
        # through the whole catalogue for every file.
        places = {
            each.sha256: each.row
            for each in self._db.execute(
                sa.select(_E.c.sha256, _E.c.row).where(
                    _E.c.digest == digest, among(self._db, _E.c.sha256, sha256s), _E.c.file == file
                )
            )
        }
        owners = self._db.scalars(
            sa.select(_I.c.product).where(
                _I.c.catalog == catalog, among(self._db, _I.c.sha256, places), ~_I.c.deleted
            )
        )
        found: list[StoredEmbedding] = []
        products = sorted(set(owners))  # of a placeholder picture there are many
        for start in range(0, len(products), _PRODUCTS):
            found += self._images(catalog, products[start : start + _PRODUCTS], places)
        return sorted(found, key=lambda each: (each.row, each.product))

    def _images(
        self, catalog: str, products: Sequence[str], places: Mapping[str, int]
    ) -> Iterator[StoredEmbedding]:
        named = sa.select(_P.c.id, _P.c.sku).where(_P.c.catalog == catalog, _P.c.id.in_(products))
        skus = {each.id: each.sku for each in self._db.execute(named)}
        images = sa.select(_I.c.product, _I.c.sha256).where(
            _I.c.product.in_(products), *_searchable(catalog)
        )
        for product, sha256 in self._db.execute(images):
            if sha256 in places:
                yield StoredEmbedding(product, skus[product], sha256, places[sha256])


def _searchable(catalog: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (_I.c.catalog == catalog, ~_I.c.deleted, _I.c.state == ImageState.SEARCHABLE)
