"""Use cases of feedback: what users say about the results of a search."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.core.domain import keys, names
from services.core.domain.errors import InvalidArgument, NotFound
from services.core.evaluation_ports import Feedback
from services.core.ports import Clock, ObjectStore
from services.core.record_ports import Records
from services.gateway.handlers.feedback_tokens import Answered
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import A, Change, Once, Transactions
from services.imaging.headers import inspect
from services.imaging.limits import ImageLimits


@dataclass(frozen=True, slots=True)
class Said:
    """What a user says: whether `product` (id), shown with `image` (sha256, may be empty), was
    right; where it was not, which product is, if known. `photo` is what was searched with, or
    empty.

    Raises InvalidArgument (FEEDBACK_CONTRADICTORY).
    """

    product: str
    image: str
    right: bool
    expected: str = ""
    photo: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if self.expected and self.right != (self.expected == self.product):
            raise InvalidArgument.field(
                "expected_product",
                "contradicts `right`: it is the product that would have been right instead",
                reason="FEEDBACK_CONTRADICTORY",
            )


class UserFeedback:
    """Notes and reads feedback. Ids are those within the names."""

    def __init__(
        self,
        transactions: Transactions,
        objects: ObjectStore,
        threads: Threads,
        clock: Clock,
        limits: ImageLimits,
    ) -> None:
        self._transactions = transactions
        self._objects = objects
        self._threads = threads
        self._clock = clock
        self._limits = limits

    async def record(
        self, catalog: str, answered: Answered, said: Said, once: Once[Feedback, A]
    ) -> A:
        """Notes it; keeps the photo where the catalogue keeps photos.

        Raises InvalidArgument (OTHER_CATALOG, PHOTO_DIFFERS), InvalidImage, NotFound
        (CATALOG_NOT_FOUND, PRODUCT_NOT_FOUND).
        """
        if answered.catalog != catalog:
            raise InvalidArgument.field(
                "feedback_token",
                f"is of an answer about {names.catalog_name(answered.catalog)}",
                reason="OTHER_CATALOG",
            )
        if said.photo:
            await self._threads.call(_check_photo, said.photo, answered.photo, self._limits)

        def look(tx: Records) -> tuple[A | None, int]:
            days = tx.catalogs.photo_days(catalog)
            if (answer := once.find(tx)) is None:
                _check_products(tx, catalog, said)
            return answer, days

        known, days = await self._transactions.read(look)
        if known is not None:
            return known
        key = keys.feedback_photo_key(catalog, answered.photo)
        if kept := bool(said.photo and days):
            await self._threads.call(self._objects.put, key, said.photo)

        def work(change: Change) -> Feedback:
            made = _feedback(change.tx, catalog, answered, said, change.now, kept=kept)
            change.tx.feedback.add(made)
            return made

        answer = await self._transactions.write_once(work, once)
        if kept:
            # Until the record was there, the photo may have gone with older feedback.
            await self._threads.call(self._restore, key, said.photo)
        return answer

    async def page(self, catalog: str, after: str, limit: int) -> list[Feedback]:
        """Oldest first, those with ids greater than `after`. Raises NotFound."""
        return await self._transactions.read_in(
            catalog, lambda tx: tx.feedback.page(catalog, after, limit)
        )

    async def photo(self, catalog: str, feedback: str) -> AsyncIterator[bytes]:
        """The photo in pieces of at most 1 MiB.

        Raises NotFound (CATALOG_NOT_FOUND, FEEDBACK_NOT_FOUND, PHOTO_NOT_KEPT).
        """
        found = await self._transactions.read_in(
            catalog, lambda tx: tx.feedback.get(catalog, feedback)
        )
        if found.expire_time is None or found.expire_time <= self._clock.now():
            raise _not_kept(found)
        key = keys.feedback_photo_key(catalog, found.photo)
        try:
            pieces = await self._threads.call(self._objects.stream, key)
        except NotFound:
            raise _not_kept(found) from None
        while (piece := await self._threads.call(next, pieces, None)) is not None:
            yield piece

    def _restore(self, key: str, photo: bytes) -> None:
        if self._objects.size(key) is None:
            self._objects.put(key, photo)


def _check_photo(photo: bytes, sha256: str, limits: ImageLimits) -> None:
    if hashlib.sha256(photo).hexdigest() != sha256:
        raise InvalidArgument.field(
            "photo",
            "is not the photo that the answer is about: send the same bytes, or none",
            reason="PHOTO_DIFFERS",
        )
    inspect(photo, limits)


def _check_products(tx: Records, catalog: str, said: Said) -> None:
    for product in dict.fromkeys((said.product, said.expected)):
        if product:
            tx.products.get(catalog, product)


def _feedback(
    tx: Records, catalog: str, answered: Answered, said: Said, now: datetime, *, kept: bool
) -> Feedback:
    days = tx.catalogs.photo_days(catalog)
    _check_products(tx, catalog, said)
    return Feedback(
        id=names.new_id(),
        catalog=catalog,
        photo=answered.photo,
        product=said.product,
        image=said.image,
        right=said.right,
        expected=said.expected,
        model_digest=answered.model_digest,
        stages=answered.stages,
        create_time=now,
        expire_time=now + timedelta(days=days) if kept and days else None,
    )


def _not_kept(feedback: Feedback) -> NotFound:
    name = names.feedback_name(feedback.catalog, feedback.id)
    return NotFound(
        f"no photo is kept with {name}: none was sent, its time has passed, or "
        f"{names.catalog_name(feedback.catalog)} keeps none (feedback_photo_days)",
        reason="PHOTO_NOT_KEPT",
        metadata={"feedback": name},
    )
