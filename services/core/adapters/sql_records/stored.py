"""Products and images as merging wants them, and images as it leaves them."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.merging import ShardMerge, StoredImage, StoredProduct
from services.core.adapters.sql_records.products import to_fields
from services.core.adapters.sql_records.statements import upsert
from services.core.domain.catalog import ImageState

_P, _I = tables.products, tables.product_images
# Building these anew for every shard would take longer than running them.
_PRODUCTS = sa.select(_P).where(
    _P.c.catalog == sa.bindparam("of_catalog"), _P.c.id.in_(sa.bindparam("ids", expanding=True))
)
_IMAGES = sa.select(_I).where(
    _I.c.catalog == sa.bindparam("of_catalog"),
    _I.c.product.in_(sa.bindparam("ids", expanding=True)),
)
_LISTED = (
    _I.update()
    .where(
        _I.c.catalog == sa.bindparam("of_catalog"),
        _I.c.product == sa.bindparam("of_product"),
        _I.c.sha256 == sa.bindparam("of_hash"),
    )
    .values(revision=sa.bindparam("new"), position=sa.bindparam("place"))
)


def load_products(
    connection: sa.Connection, catalog: str, ids: Sequence[str]
) -> dict[str, StoredProduct]:
    """Those that exist, tombstones too, by id."""
    rows = connection.execute(_PRODUCTS, {"of_catalog": catalog, "ids": ids})
    return {
        row.id: StoredProduct(
            id=row.id,
            fields=to_fields(row),
            revision=row.revision,
            seen_revision=row.seen_revision,
            listed_revision=row.listed_revision,
            outcome=row.outcome,
            deleted=row.deleted,
            update_time=row.update_time,
            row_digest=row.row_digest,
        )
        for row in rows
    }


def load_images(
    connection: sa.Connection, catalog: str, ids: Sequence[str]
) -> dict[tuple[str, str], StoredImage]:
    """All of these products, tombstones too, by (product, hash): a condition on the hashes would
    make the database look for every pair of the two."""
    rows = connection.execute(_IMAGES, {"of_catalog": catalog, "ids": ids})
    return {
        (row.product, row.sha256): StoredImage(
            state=ImageState(row.state),
            source=row.source,
            origin=row.origin,
            position=row.position,
            revision=row.revision,
            plan_revision=row.plan_revision,
            deleted=row.deleted,
            create_time=row.create_time,
        )
        for row in rows
    }


def write_images(connection: sa.Connection, catalog: str, merge: ShardMerge, now: datetime) -> None:
    """Writes the fresh images whole, and of the others what the import says about them."""
    rows = [
        {
            "catalog": catalog,
            "product": product,
            "sha256": sha256,
            "state": image.state,
            "refusal": "",
            "source": image.source,
            "origin": image.origin,
            "position": image.position,
            "revision": image.revision,
            "plan_revision": image.plan_revision,
            "deleted": image.deleted,
            "create_time": image.create_time or now,
        }
        for (product, sha256), image in merge.touched_images()
        if image.fresh
    ]
    upsert(connection, _I, rows)
    listed = [
        {
            "of_catalog": catalog,
            "of_product": product,
            "of_hash": sha256,
            "new": image.revision,
            "place": image.position,
        }
        for (product, sha256), image in merge.touched_images()
        if not image.fresh
    ]
    if listed:
        connection.execute(_LISTED, listed)
