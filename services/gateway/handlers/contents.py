"""Image bytes that arrive ahead of an import, under their hashes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from services.core.domain import keys, names
from services.core.domain.errors import InvalidArgument, ResourceExhausted
from services.core.ports import ObjectStore
from services.core.stored_images import absent
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import Transactions
from services.gateway.settings import GatewayLimits

MAX_REFUSALS = 10_000  # they must fit one answer of 4 MiB

_HASHES = 128  # that one thread looks for


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the image `sha256`; `last` ends it, as does another hash."""

    sha256: str
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the bytes of one image were not stored."""

    sha256: str
    reason: str
    message: str


@dataclass(slots=True)
class Stored:
    """What became of the images of a stream."""

    count: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, refusal: Refusal) -> None:
        if len(self.refusals) >= MAX_REFUSALS:
            raise ResourceExhausted(
                f"more than {MAX_REFUSALS} images were refused, the last one because "
                f"{refusal.message}",
                reason="TOO_MANY_REFUSALS",
            )
        self.refusals.append(refusal)


@dataclass(slots=True)
class _Image:
    """An image on its way in. Beyond `limit` its bytes are counted and dropped."""

    sha256: str
    limit: int
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if self.size <= self.limit:
            self.parts.append(data)
        else:
            self.parts.clear()


class Contents:
    """Stores image bytes and says which are missing."""

    def __init__(
        self,
        transactions: Transactions,
        objects: ObjectStore,
        threads: Threads,
        limits: GatewayLimits,
    ) -> None:
        self._transactions = transactions
        self._objects = objects
        self._threads = threads
        self._limits = limits

    async def missing(self, catalog: str, sha256s: Sequence[str]) -> list[str]:
        """Those hashes that are not stored, each once. Raises InvalidArgument, NotFound."""
        if len(sha256s) > self._limits.hashes_per_call:
            raise InvalidArgument.field(
                "sha256s", f"more than {self._limits.hashes_per_call}", reason="TOO_MANY_VALUES"
            )
        wanted = [names.check_digest(each, "sha256s") for each in dict.fromkeys(sha256s)]
        await self._transactions.check(catalog)
        # Side by side: each hash is a question to the object store.
        parts = [wanted[at : at + _HASHES] for at in range(0, len(wanted), _HASHES)]
        found = await asyncio.gather(
            *(self._threads.call(absent, self._objects, part) for part in parts)
        )
        return [each for part in found for each in part]

    async def store(self, catalog: str, pieces: AsyncIterator[Piece]) -> Stored:
        """Stores every image whose bytes have its hash; a bad one does not end the stream.

        Receiving and storing overlap. Memory: a few batches and one image.
        Raises NotFound (CATALOG_NOT_FOUND), Unavailable (object store).
        """
        await self._transactions.check(catalog)
        stored = Stored()
        slots = asyncio.Semaphore(self._limits.upload_batches)

        async def hand_over(batch: list[_Image]) -> None:
            try:
                refused = await self._threads.call(self._store, batch)
                stored.count += len(batch) - len(refused)
                for refusal in refused:
                    stored.refuse(refusal)
            finally:
                slots.release()

        try:
            async with asyncio.TaskGroup() as group:
                async for batch in self._batches(pieces):
                    await slots.acquire()
                    group.create_task(hand_over(batch))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return stored

    async def _batches(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[list[_Image]]:
        batch: list[_Image] = []
        size = 0
        async for image in self._images(pieces):
            batch.append(image)
            size += image.size
            if size >= self._limits.upload_batch_bytes:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    async def _images(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[_Image]:
        image: _Image | None = None
        async for piece in pieces:
            if image is not None and image.sha256 != piece.sha256:
                yield image
                image = None
            if image is None:
                if not piece.sha256 and not piece.data:  # the opening message may carry no image
                    continue
                image = _Image(piece.sha256, self._limits.image.max_bytes)
            image.add(piece.data)
            if piece.last:
                yield image
                image = None
        if image is not None:
            yield image

    def _store(self, batch: list[_Image]) -> list[Refusal]:
        """Stores a batch; the images that were refused."""
        refused = []
        for image in batch:
            data = image.parts[0] if len(image.parts) == 1 else b"".join(image.parts)
            if image.size > image.limit:
                message = f"{image.size} bytes are more than {image.limit}"
                refused.append(Refusal(image.sha256, "IMAGE_TOO_LARGE", message))
            elif (actual := hashlib.sha256(data).hexdigest()) != image.sha256:
                message = f"the bytes have SHA-256 {actual}"
                refused.append(Refusal(image.sha256, "DIGEST_MISMATCH", message))
            else:
                self._objects.put(keys.image_key(actual), data)
        return refused
