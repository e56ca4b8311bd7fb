"""The use case of erasing a product or an image everywhere."""

from services.core.domain import names
from services.core.domain.operations import Operation, OperationKind
from services.gateway.handlers.transactions import A, Change, Once, Transactions


class Erasing:
    """Hides what is to be erased at once, and starts the operation that removes it."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def erase(self, catalog: str, product: str, sha256: str, once: Once[Operation, A]) -> A:
        """Erases a product with all its images, or one image where `sha256` is not empty.

        What was deleted before can still be erased. Raises NotFound (CATALOG_NOT_FOUND,
        PRODUCT_NOT_FOUND, IMAGE_NOT_FOUND).
        """

        def work(change: Change) -> Operation:
            tx = change.tx
            revision = tx.catalogs.next_revision(catalog)
            found = tx.erasing.remains(catalog, product, sha256)
            target = names.product_name(catalog, product)
            if sha256:
                target = names.image_name(catalog, product, sha256)
                if found.live:
                    tx.products.delete_image(catalog, product, sha256, revision, change.now)
            elif tx.products.get_many(catalog, [product]):
                tx.products.delete(catalog, product, revision, change.now)
            request = {
                "target": target,
                "product": product,
                "whole": not sha256,
                "sku": found.sku,
                "sha256s": list(found.sha256s),
                "sources": list(found.sources),
                "images": found.live,
            }
            return change.operation(OperationKind.ERASE_CONTENT, catalog, revision, request)

        return await self._transactions.write_once(work, once)
