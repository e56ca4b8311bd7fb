"""The use case of reading the embeddings of a catalogue, a file at a time."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from services.core.content_ports import StoredEmbedding
from services.core.domain.errors import DataLoss, NotFound
from services.core.ports import Float32, ObjectStore
from services.core.record_ports import Deployment, Records
from services.core.shard_files import Embeddings, read_embeddings
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import Transactions

_FILES = 1_000  # looked up at once
_BYTES = 1 << 20  # of embeddings in one piece
_NONE: Float32 = np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class Exported:
    """Some images and their embeddings, float32 [images, dimension]."""

    images: Sequence[StoredEmbedding]
    embeddings: Float32


class Exports:
    """Reads embeddings in the order of the files that hold them: each file is read once."""

    def __init__(self, transactions: Transactions, objects: ObjectStore, threads: Threads) -> None:
        self._transactions = transactions
        self._objects = objects
        self._threads = threads

    async def deployment(self, catalog: str) -> Deployment:
        """Raises NotFound (CATALOG_NOT_FOUND)."""
        return await self._transactions.read(lambda tx: tx.catalogs.deployment(catalog))

    async def pieces(self, deployment: Deployment) -> AsyncIterator[Exported]:
        """Every searchable image; memory is that of one embeddings file.

        Images that change meanwhile may be among them or not. Raises DataLoss, Unavailable.
        """
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
