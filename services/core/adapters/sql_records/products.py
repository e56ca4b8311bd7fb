"""Single products and images in SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.statements import upsert
from services.core.domain.catalog import HIDDEN, Image, ImageState, Product, ProductFields
from services.core.domain.errors import AlreadyExists, NotFound
from services.core.record_ports import ProductRecords

_P, _I = tables.products, tables.product_images
# What every search asks for: building the statements anew would take longer than running them.
_MANY = sa.select(_P).where(
    _P.c.catalog == sa.bindparam("of_catalog"),
    _P.c.id.in_(sa.bindparam("ids", expanding=True)),
    ~_P.c.deleted,
)
_LIVE = sa.select(_I.c.product, _I.c.sha256).where(
    _I.c.catalog == sa.bindparam("of_catalog"),
    _I.c.product.in_(sa.bindparam("products", expanding=True)),
    ~_I.c.deleted,
    _I.c.state.not_in(HIDDEN),
)


class SqlProducts(ProductRecords):
    """See ProductRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def create(self, catalog: str, fields: ProductFields, revision: int, now: datetime) -> Product:
        product = fields.product_id
        if self.get_many(catalog, [product]):
            raise AlreadyExists(
                f"catalogs/{catalog}/products/{product} exists already",
                reason="PRODUCT_EXISTS",
                metadata={"product": product},
            )
        row = field_values(fields) | {
            "catalog": catalog,
            "id": product,
            "revision": revision,
            "seen_revision": 0,
            "listed_revision": 0,
            "outcome": "",
            "row_digest": None,
            "deleted": False,
            "update_time": now,
        }
        upsert(self._db, _P, [row])
        return self.get(catalog, product)

    def get(self, catalog: str, product: str) -> Product:
        images = sa.select(sa.func.count()).where(
            _I.c.catalog == catalog, _I.c.product == product, ~_I.c.deleted
        )
        row = self._db.execute(
            sa.select(_P, images.scalar_subquery().label("image_count")).where(
                _P.c.catalog == catalog, _P.c.id == product, ~_P.c.deleted
            )
        ).one_or_none()
        if row is None:
            raise NotFound(
                f"catalogs/{catalog}/products/{product} does not exist",
                reason="PRODUCT_NOT_FOUND",
                metadata={"product": product},
            )
        return to_product(row, row.image_count)

    def get_many(self, catalog: str, products: Sequence[str]) -> dict[str, Product]:
        rows = self._db.execute(_MANY, {"of_catalog": catalog, "ids": products})
        return {row.id: to_product(row) for row in rows}

    def page(self, catalog: str, after: str, limit: int) -> list[Product]:
        images = (
            sa.select(sa.func.count())
            .where(_I.c.catalog == catalog, _I.c.product == _P.c.id, ~_I.c.deleted)
            .scalar_subquery()
        )
        query = (
            sa.select(_P, images.label("image_count"))
            .where(_P.c.catalog == catalog, _P.c.id > after, ~_P.c.deleted)
            .order_by(_P.c.id)
            .limit(limit)
        )
        return [to_product(row, row.image_count) for row in self._db.execute(query)]

    def update(
        self, catalog: str, product: str, fields: ProductFields, revision: int, now: datetime
    ) -> Product:
        self.get(catalog, product)
        self._db.execute(
            _P.update()
            .where(_P.c.catalog == catalog, _P.c.id == product)
            .values(**field_values(fields), row_digest=None, revision=revision, update_time=now)
        )
        self._db.execute(
            _I.update()
            .where(
                _I.c.catalog == catalog,
                _I.c.product == product,
                ~_I.c.deleted,
                _I.c.state.not_in(HIDDEN),
            )
            .values(plan_revision=None)
        )
        return self.get(catalog, product)

    def delete(self, catalog: str, product: str, revision: int, now: datetime) -> None:
        self.get(catalog, product)
        self._db.execute(
            _P.update()
            .where(_P.c.catalog == catalog, _P.c.id == product)
            .values(deleted=True, revision=revision, update_time=now)
        )
        self._db.execute(
            _I.update()
            .where(_I.c.catalog == catalog, _I.c.product == product, ~_I.c.deleted)
            .values(deleted=True, revision=revision, plan_revision=None)
        )

    def add_image(
        self, catalog: str, product: str, sha256: str, revision: int, now: datetime
    ) -> Image:
        self.get(catalog, product)
        key = (_I.c.catalog == catalog, _I.c.product == product, _I.c.sha256 == sha256)
        stored = self._db.execute(sa.select(_I).where(*key, ~_I.c.deleted)).one_or_none()
        if stored is None or stored.state in (ImageState.REFUSED, ImageState.FOLDED):
            row = {
                "catalog": catalog,
                "product": product,
                "sha256": sha256,
                "state": ImageState.PENDING,
                "refusal": "",
                "source": "",
                "origin": "upload",
                "revision": revision,
                "plan_revision": None,
                "deleted": False,
                "create_time": now,
            }
            upsert(self._db, _I, [row])
        elif stored.origin != "upload":
            # From now on the user's own: an import that does not list it leaves it alone.
            self._db.execute(_I.update().where(*key).values(origin="upload"))
        return self.get_image(catalog, product, sha256)

    def get_image(self, catalog: str, product: str, sha256: str) -> Image:
        row = self._db.execute(
            sa.select(_I).where(
                _I.c.catalog == catalog,
                _I.c.product == product,
                _I.c.sha256 == sha256,
                ~_I.c.deleted,
            )
        ).one_or_none()
        if row is None:
            raise NotFound(
                f"catalogs/{catalog}/products/{product}/images/{sha256} does not exist",
                reason="IMAGE_NOT_FOUND",
                metadata={"image": sha256},
            )
        return _image(row)

    def page_images(self, catalog: str, product: str, after: str, limit: int) -> list[Image]:
        self.get(catalog, product)
        query = (
            sa.select(_I)
            .where(
                _I.c.catalog == catalog,
                _I.c.product == product,
                _I.c.sha256 > after,
                ~_I.c.deleted,
            )
            .order_by(_I.c.sha256)
            .limit(limit)
        )
        return [_image(row) for row in self._db.execute(query)]

    def delete_image(
        self, catalog: str, product: str, sha256: str, revision: int, now: datetime
    ) -> None:
        self.get_image(catalog, product, sha256)
        self._db.execute(
            _P.update().where(_P.c.catalog == catalog, _P.c.id == product).values(row_digest=None)
        )
        self._db.execute(
            _I.update()
            .where(_I.c.catalog == catalog, _I.c.product == product, _I.c.sha256 == sha256)
            .values(deleted=True, revision=revision, plan_revision=None)
        )

    def live(self, catalog: str, images: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        products = list({product for product, _ in images})
        rows = self._db.execute(_LIVE, {"of_catalog": catalog, "products": products})
        return {(row.product, row.sha256) for row in rows}.intersection(images)


def field_values(fields: ProductFields) -> dict[str, Any]:
    """Columns of `products` that hold what the seller says."""
    return {
        "sku": fields.sku,
        "title": fields.title,
        "description": fields.description,
        "categories": list(fields.categories),
        "labels": list(fields.labels),
        "parent": fields.parent,
        "price": fields.price,
        "stock": fields.stock,
        "attributes": dict(fields.attributes),
    }


def to_fields(row: sa.Row[Any]) -> ProductFields:
    """The inverse of field_values."""
    return ProductFields.checked(
        {
            "sku": row.sku,
            "title": row.title,
            "description": row.description,
            "categories": tuple(row.categories),
            "labels": tuple(row.labels),
            "parent": row.parent,
            "price": row.price,
            "stock": row.stock,
            "attributes": row.attributes,
        }
    )


def to_product(row: sa.Row[Any], image_count: int = 0) -> Product:
    """A row of `products` as a record."""
    return Product(row.catalog, row.id, to_fields(row), image_count, row.revision, row.update_time)


def _image(row: sa.Row[Any]) -> Image:
    return Image(
        row.catalog,
        row.product,
        row.sha256,
        ImageState(row.state),
        row.refusal,
        row.source,
        row.revision,
        row.create_time,
    )
