"""Use cases of the images of products."""

import hashlib
from collections.abc import AsyncIterator, Iterator

from services.core.domain import keys, names
from services.core.domain.catalog import Image
from services.core.domain.errors import InvalidImage, NotFound
from services.core.domain.external_model import is_external, no_embedder
from services.core.domain.vector_images import is_vector
from services.core.ports import ObjectStore
from services.core.record_ports import Records
from services.core.stored_images import read_image
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import A, Change, Once, Transactions
from services.imaging.headers import inspect
from services.imaging.limits import ImageLimits

_PIECE = 1 << 20


class Images:
    """Adds, reads and deletes images. Ids are those within the names."""

    def __init__(
        self,
        transactions: Transactions,
        objects: ObjectStore,
        threads: Threads,
        limits: ImageLimits,
    ) -> None:
        self._transactions = transactions
        self._objects = objects
        self._threads = threads
        self._limits = limits

    async def upload(self, catalog: str, product: str, data: bytes, once: Once[Image, A]) -> A:
        """Stores `data` as an image of the product; a worker embeds it soon after.

        Raises NotFound (PRODUCT_NOT_FOUND), InvalidImage for bytes that are no usable picture,
        FailedPrecondition (MODEL_HAS_NO_EMBEDDER).
        """
        sha256 = hashlib.sha256(data).hexdigest()

        def look(tx: Records) -> A | None:
            answer = once.find(tx)
            if answer is None:
                _check_upload(tx, catalog, product, sha256)
            return answer

        if (answer := await self._transactions.read(look)) is not None:
            return answer
        await self._threads.call(self._store, sha256, data)

        def work(change: Change) -> Image:
            revision = change.tx.catalogs.next_revision(catalog)
            image = change.tx.products.add_image(catalog, product, sha256, revision, change.now)
            if image.revision == revision:  # else it was there already
                change.follow(catalog, revision, product, [sha256])
            return image

        return await self._transactions.write_once(work, once)

    async def get(self, catalog: str, product: str, sha256: str) -> Image:
        """Raises NotFound (IMAGE_NOT_FOUND)."""
        return await self._transactions.read_in(
            catalog, lambda tx: tx.products.get_image(catalog, product, sha256)
        )

    async def page(self, catalog: str, product: str, after: str, limit: int) -> list[Image]:
        """Those with hashes greater than `after`. Raises NotFound (PRODUCT_NOT_FOUND)."""
        return await self._transactions.read_in(
            catalog, lambda tx: tx.products.page_images(catalog, product, after, limit)
        )

    async def delete(self, catalog: str, product: str, sha256: str, once: Once[int, A]) -> A:
        """Deletes one image; the result is the revision. Raises NotFound (IMAGE_NOT_FOUND)."""

        def work(change: Change) -> int:
            revision = change.tx.catalogs.next_revision(catalog)
            change.tx.products.delete_image(catalog, product, sha256, revision, change.now)
            change.follow(catalog, revision, product)
            return revision

        return await self._transactions.write_once(work, once)

    async def download(self, catalog: str, product: str, sha256: str) -> AsyncIterator[bytes]:
        """The stored bytes in pieces of at most 1 MiB.

        Raises NotFound, also for an embedding without a picture (IMAGE_HAS_NO_PICTURE); DataLoss
        where the object of one that was imported by reference has other bytes now.
        """
        image = await self.get(catalog, product, sha256)
        if is_vector(image.sha256, image.source):
            raise NotFound(
                f"{names.image_name(catalog, product, sha256)} is an embedding that was imported "
                "without a picture: there are no bytes to read",
                reason="IMAGE_HAS_NO_PICTURE",
            )
        pieces = await self._threads.call(self._pieces, sha256)
        while (piece := await self._threads.call(next, pieces, None)) is not None:
            yield piece

    def _pieces(self, sha256: str) -> Iterator[bytes]:
        if self._objects.size(key := keys.image_key(sha256)) is not None:
            return self._objects.stream(key)
        data = read_image(self._objects, sha256)  # a reference is checked as a whole
        return iter([data[at : at + _PIECE] for at in range(0, len(data), _PIECE)])

    def _store(self, sha256: str, data: bytes) -> None:
        inspect(data, self._limits)
        self._objects.put(keys.image_key(sha256), data)


def _check_upload(tx: Records, catalog: str, product: str, sha256: str) -> None:
    tx.products.get(catalog, product)
    deployment = tx.catalogs.deployment(catalog)
    if is_external(tx.models.spec(deployment.model_digest)):
        raise no_embedder(deployment.model)
    if reason := tx.embeddings.refusals([sha256]).get(sha256):
        raise InvalidImage(
            f"image {sha256} was refused before: {reason}",
            reason=reason,
            metadata={"image": names.image_name(catalog, product, sha256)},
        )
