"""Full feeds and dry runs in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.merging import (
    ShardMerge,
    StoredImage,
    StoredProduct,
)
from services.core.adapters.sql_records.statements import insert_missing
from services.core.adapters.sql_records.stored import load_images, load_products
from services.core.domain import names
from services.core.domain.catalog import ProductFields
from services.core.feed_ports import ChangedProduct, FeedRecords, Preview, Unlisted
from services.core.shard_files import AcceptedRow

_P, _I, _S = tables.products, tables.product_images, tables.spared
_FIELDS = (
    "title", "description", "categories", "labels", "parent", "price", "stock", "attributes",
)  # fmt: skip
_Images = Mapping[tuple[str, str], StoredImage]


class SqlFeeds(FeedRecords):
    """See FeedRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def spare(self, operation: str, skus: Sequence[str]) -> None:
        self._note(operation, [names.product_id(sku) for sku in skus], met=False)

    def count_unlisted(self, catalog: str, operation: str, revision: int) -> Unlisted:
        unlisted = _unlisted(catalog, revision)
        spared = self._count(*unlisted, _noted(operation, met=False))
        listed = self._count(
            _P.c.catalog == catalog,
            ~_P.c.deleted,
            _P.c.seen_revision > 0,
            (_P.c.outcome != "created") | (_P.c.seen_revision < revision),
        )
        return Unlisted(self._count(*unlisted, ~_noted(operation)), spared, listed)

    def unlisted(self, catalog: str, operation: str, revision: int, limit: int) -> list[str]:
        query = sa.select(_P.c.id).where(*_unlisted(catalog, revision), ~_noted(operation))
        return list(self._db.scalars(query.order_by(_P.c.id).limit(limit)))

    def unlisted_skus(self, catalog: str, operation: str, revision: int, limit: int) -> list[str]:
        query = sa.select(_P.c.sku).where(*_unlisted(catalog, revision), ~_noted(operation))
        return list(self._db.scalars(query.order_by(_P.c.id).limit(limit)))

    def remove(self, catalog: str, products: Sequence[str], revision: int, now: datetime) -> None:
        self._db.execute(
            _P.update()
            .where(_P.c.catalog == catalog, _P.c.id.in_(products))
            .values(deleted=True, revision=revision, update_time=now)
        )
        self._db.execute(
            _I.update()
            .where(_I.c.catalog == catalog, _I.c.product.in_(products), ~_I.c.deleted)
            .values(deleted=True, revision=revision, plan_revision=None)
        )

    def preview(
        self, catalog: str, operation: str, rows: Sequence[AcceptedRow], revision: int
    ) -> Preview:
        ids = list({names.product_id(row.fields["sku"]) for row in rows})
        met = sa.select(_S.c.product).where(_S.c.operation == operation, _S.c.product.in_(ids))
        known = set(self._db.scalars(met.where(_S.c.met)))
        products = load_products(self._db, catalog, ids)
        images = load_images(self._db, catalog, ids)
        before = {each.id: each.fields for each in products.values() if not each.deleted}
        pictures = {key for key, image in images.items() if not image.deleted}
        merge = ShardMerge(revision, products, images)
        for row in rows:
            product = names.product_id(row.fields["sku"])
            if product not in known:
                merge.add(_with_hashes(row, product, images))
        self._note(operation, ids, met=True)
        return _preview(merge, before, pictures, images, revision)

    def forget(self, operation: str) -> None:
        self._db.execute(_S.delete().where(_S.c.operation == operation))

    def _note(self, operation: str, products: Sequence[str], *, met: bool) -> None:
        rows = [{"operation": operation, "product": each, "met": met} for each in products]
        insert_missing(self._db, _S, rows)

    def _count(self, *conditions: sa.ColumnElement[bool]) -> int:
        return self._db.scalar(sa.select(sa.func.count()).where(*conditions)) or 0


def _with_hashes(row: AcceptedRow, product: str, images: _Images) -> AcceptedRow:
    """Images that were not fetched are those that came from there before, or new ones."""
    if "" not in row.sha256s:
        return row
    stored = {image.source: sha for (of, sha), image in images.items() if of == product}
    pairs = zip(row.sha256s, row.sources, strict=True)
    return replace(row, sha256s=tuple(sha or stored.get(src, src) for sha, src in pairs))


def _preview(
    merge: ShardMerge,
    before: Mapping[str, ProductFields],
    pictures: set[tuple[str, str]],
    images: _Images,
    revision: int,
) -> Preview:
    outcome = merge.outcome()
    added = {key[0] for key, _ in merge.touched_images() if key not in pictures}
    listing = {each.id for each in merge.touched_products() if each.listed_revision == revision}
    stale = [
        key
        for key in pictures
        if key[0] in listing and images[key].origin == "import" and images[key].revision < revision
    ]
    repictured = added | {product for product, _ in stale}
    changes = [
        change
        for product in merge.touched_products()
        if (change := _change(product, before.get(product.id), product.id in repictured))
    ]
    return Preview(
        created=outcome.created,
        updated=sum(each.change == "updated" for each in changes),
        unchanged=len(outcome.products) - len(changes),
        images_removed=len(stale),
        changes=tuple(changes),
        superseded=outcome.superseded,
        missing=outcome.missing,
    )


def _change(
    product: StoredProduct, before: ProductFields | None, repictured: bool
) -> ChangedProduct | None:
    sku = product.fields.sku
    if before is None:
        return ChangedProduct(sku, "created", ())
    fields = [name for name in _FIELDS if getattr(product.fields, name) != getattr(before, name)]
    if repictured:
        fields.append("images")
    return ChangedProduct(sku, "updated", tuple(fields)) if fields else None


def _unlisted(catalog: str, revision: int) -> list[sa.ColumnElement[bool]]:
    """Live products that imports before `revision` listed, and that nothing newer has changed."""
    newer = sa.select(sa.literal(1)).where(
        _I.c.catalog == _P.c.catalog, _I.c.product == _P.c.id, _I.c.revision > revision
    )
    return [
        _P.c.catalog == catalog,
        ~_P.c.deleted,
        _P.c.seen_revision > 0,
        _P.c.seen_revision < revision,
        _P.c.revision < revision,
        ~newer.exists(),
    ]


def _noted(operation: str, *, met: bool | None = None) -> sa.ColumnElement[bool]:
    noted = sa.select(sa.literal(1)).where(_S.c.operation == operation, _S.c.product == _P.c.id)
    return noted.exists() if met is None else noted.where(_S.c.met == met).exists()
