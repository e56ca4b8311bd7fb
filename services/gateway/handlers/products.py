"""Use cases of products."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.core.domain.catalog import Product, ProductFields
from services.core.domain.errors import InvalidArgument
from services.gateway.handlers.transactions import A, Change, Once, Transactions


class Products:
    """Creates, reads, changes and deletes products. Ids are those within the names."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def create(self, catalog: str, fields: ProductFields, once: Once[Product, A]) -> A:
        """Raises NotFound (CATALOG_NOT_FOUND), AlreadyExists (PRODUCT_EXISTS)."""

        def work(change: Change) -> Product:
            revision = change.tx.catalogs.next_revision(catalog)
            return change.tx.products.create(catalog, fields, revision, change.now)

        return await self._transactions.write_once(work, once)

    async def get(self, catalog: str, product: str) -> Product:
        """Raises NotFound (CATALOG_NOT_FOUND, PRODUCT_NOT_FOUND)."""
        return await self._transactions.read_in(
            catalog, lambda tx: tx.products.get(catalog, product)
        )

    async def page(self, catalog: str, after: str, limit: int) -> list[Product]:
        """Those with ids greater than `after`. Raises NotFound (CATALOG_NOT_FOUND)."""
        return await self._transactions.read_in(
            catalog, lambda tx: tx.products.page(catalog, after, limit)
        )

    async def update(self, catalog: str, product: str, values: Mapping[str, Any]) -> Product:
        """Sets the given fields of ProductFields and leaves the others.

        Raises NotFound; InvalidArgument, with IMMUTABLE_FIELD for another SKU.
        """

        def work(change: Change) -> Product:
            revision = change.tx.catalogs.next_revision(catalog)
            old = change.tx.products.get(catalog, product).fields
            if values.get("sku", old.sku) != old.sku:
                raise InvalidArgument.field(
                    "product.sku",
                    f"products/{product} has SKU '{old.sku}', which cannot change: "
                    "create another product",
                    reason="IMMUTABLE_FIELD",
                )
            new = replace(old, **values)
            changed = change.tx.products.update(catalog, product, new, revision, change.now)
            change.follow(catalog, revision, product)
            return changed

        return await self._transactions.write(work)

    async def delete(self, catalog: str, product: str, once: Once[int, A]) -> A:
        """Deletes it with its images; the result is the revision. Raises NotFound."""

        def work(change: Change) -> int:
            revision = change.tx.catalogs.next_revision(catalog)
            change.tx.products.delete(catalog, product, revision, change.now)
            change.follow(catalog, revision, product)
            return revision

        return await self._transactions.write_once(work, once)
