"""The use case of reading the embeddings of a catalogue."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from services.core.content_ports import StoredEmbedding
from services.core.deployment_ports import Deployment, DeploymentState
from services.core.domain.errors import Aborted, DataLoss, NotFound
from services.core.domain.external_model import is_external
from services.core.domain.model import Model
from services.core.ports import Float32, ObjectStore, VectorStore
from services.core.record_ports import Records
from services.core.shard_files import Embeddings, read_embeddings
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import Transactions

_FILES = 1_000  # looked up at once
_PRODUCTS = 100
_BYTES = 1 << 20  # of embeddings in one piece
_NONE: Float32 = np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class Exported:
    """Some images and their embeddings, float32 [images, dimension]."""

    images: Sequence[StoredEmbedding]
    embeddings: Float32


class Exports:
    """Reads embeddings in the order of the files that hold them: each file is read once.

    The files have those of plain embedders and of models that run elsewhere. What whitening, PCA
    and ensembles make of them is in the collection alone, and read there, product by product.
    """

    def __init__(
        self,
        transactions: Transactions,
        objects: ObjectStore,
        vectors: VectorStore,
        threads: Threads,
    ) -> None:
        self._transactions = transactions
        self._objects = objects
        self._vectors = vectors
        self._threads = threads

    async def deployment(self, catalog: str) -> Deployment:
        """Raises NotFound (CATALOG_NOT_FOUND)."""
        return await self._transactions.read(lambda tx: tx.catalogs.deployment(catalog))

    async def pieces(self, deployment: Deployment) -> AsyncIterator[Exported]:
        """Every searchable image; memory is that of one embeddings file.

        Images that change meanwhile may be among them or not. Raises DataLoss, Unavailable,
        Aborted (DEPLOYMENT_GONE) where the collection is removed meanwhile.
        """
        composed = await self._transactions.read(partial(_is_composed, deployment))
        each_piece = self._of_collection if composed else self._of_files
        async for piece in each_piece(deployment):
            yield piece

    async def _of_collection(self, deployment: Deployment) -> AsyncIterator[Exported]:
        after = ""
        while listed := await self._transactions.read(partial(_listed, deployment, after)):
            after, images = listed
            points = [deployment.point_id(each.product, each.sha256) for each in images]
            found = await self._threads.call(self._vectors.fetch, deployment.collection, points)
            if len(found) < len(images):
                await self._transactions.read(partial(_check_there, deployment))
            there = [
                (i, found[p].vector) for i, p in zip(images, points, strict=True) if p in found
            ]
            if there:
                kept, vectors = zip(*there, strict=True)
                yield Exported(kept, np.stack(vectors))

    async def _of_files(self, deployment: Deployment) -> AsyncIterator[Exported]:
        at_once = max(1, _BYTES // (4 * deployment.dimension))
        after, page = 0, [0]
        while page:
            page = await self._transactions.read(partial(_files, deployment, after))
            for file in page:
                images, stored = await self._file(deployment, file)
                for start in range(0, len(images), at_once):
                    part = images[start : start + at_once]
                    yield Exported(part, stored.embeddings[[each.row for each in part]])
                after = file

    async def _file(
        self, deployment: Deployment, file: int
    ) -> tuple[list[StoredEmbedding], Embeddings]:
        """The images of one file, and the file. An erasure may give it another key meanwhile."""
        key = ""
        while (found := await self._transactions.read(partial(_key, file))) != key:
            key = found
            try:
                data = await self._threads.call(self._objects.get, key)
            except NotFound:
                continue
            stored = await self._threads.call(read_embeddings, data)
            rows = partial(_rows, deployment, file, key, stored.sha256s)
            if (images := await self._transactions.read(rows)) is not None:
                return images, stored
        if key:
            raise DataLoss(
                f"embeddings file {key} is missing: import the images again",
                reason="EMBEDDINGS_MISSING",
            )
        return [], Embeddings((), _NONE, _NONE)


def _files(deployment: Deployment, after: int, tx: Records) -> list[int]:
    return tx.export.files(deployment.catalog, deployment.model_digest, after, _FILES)


def _key(file: int, tx: Records) -> str:
    return tx.export.key(file)


def _rows(
    deployment: Deployment, file: int, key: str, sha256s: Sequence[str], tx: Records
) -> list[StoredEmbedding] | None:
    """None when the rows are no longer those of the object `key`."""
    if tx.export.key(file) != key:
        return None
    return tx.export.rows(deployment.catalog, deployment.model_digest, file, sha256s)


def _is_composed(deployment: Deployment, tx: Records) -> bool:
    """Whether its model makes its embeddings from those of others."""
    spec = tx.models.spec(deployment.model_digest)
    return not is_external(spec) and not Model.from_dict(spec).is_plain


def _listed(
    deployment: Deployment, after: str, tx: Records
) -> tuple[str, list[StoredEmbedding]] | None:
    """The searchable images of the next products, and the last product's id; None at the end."""
    page = [each.id for each in tx.products.page(deployment.catalog, after, _PRODUCTS)]
    if not page:
        return None
    return page[-1], [
        StoredEmbedding(each.product.id, each.product.fields.sku, each.sha256, 0)
        for each in tx.imports.present(deployment.catalog, page)
        if each.searchable
    ]


def _check_there(deployment: Deployment, tx: Records) -> None:
    """Raises Aborted (DEPLOYMENT_GONE)."""
    state = tx.deployments.get(deployment.catalog, deployment.number).state
    if state is DeploymentState.GONE:
        raise Aborted(
            "another model was deployed and the collection removed meanwhile: repeat",
            reason="DEPLOYMENT_GONE",
        )
