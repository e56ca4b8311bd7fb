"""Why an image was found: pictures of the regions that agree with the photo."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from services.core.domain.errors import (
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    InvalidImage,
    NotFound,
    Unavailable,
)
from services.core.domain.explaining import check_explained
from services.core.domain.pixel_views import split_views
from services.core.evaluation_messages import ExplainPairs
from services.core.outcomes import PairsExplained
from services.core.ports import Float32, ObjectStore
from services.core.stored_images import read_image
from services.embedding.awaiting import all_awaited, awaited
from services.embedding.model_host import HostedEmbedder, ModelHost
from services.imaging.decode_pool import DecodePool
from services.imaging.headers import inspect
from services.imaging.heat_maps import Heated, draw_pair
from services.imaging.resizing import PixelRecipe, Pixels
from services.vision.agreement import agreement

NO_FEATURE_MAP = "NO_FEATURE_MAP"
_READERS = 2  # images of explanations that are read and decoded at once
_ASKED = 2  # explanations at once for callers that do not wait in a thread of their own
_PASS = 2  # images in a forward pass: a query waits for no more


class Explainer:
    """Draws pairs of pictures, each as the model sees it, with the heat of agreement over both.

    A composed model is explained by the first of its embedders that gives a feature map. Beside
    queries it stays small: two images at a time are decoded, and its forward passes are of two
    images and come after all queries that wait. Safe to call from many threads.
    """

    def __init__(self, objects: ObjectStore, pool: DecodePool, models: ModelHost) -> None:
        self._objects = objects
        self._pool = pool
        self._models = models
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="explain-read")
        self._asked = ThreadPoolExecutor(_ASKED, thread_name_prefix="explain")

    async def explain(
        self,
        photo: bytes,
        sha256s: Sequence[str],
        model_digest: str,
        timeout: float,  # noqa: ASYNC109
    ) -> list[bytes]:
        """As `explain_here`, in a thread of this object's own."""
        deadline = time.monotonic() + timeout
        draw = partial(self._explain, photo, sha256s, model_digest, deadline)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.get_running_loop().run_in_executor(self._asked, draw)
        except TimeoutError as error:
            raise _late(timeout) from error

    def explain_here(
        self, photo: bytes, sha256s: Sequence[str], model_digest: str, timeout: float
    ) -> list[bytes]:
        """A PNG for each stored image, empty bytes for those that are missing or damaged.

        Raises InvalidImage for the photo, InvalidArgument (TOO_MANY_EXPLAINED, INVALID_DIGEST),
        FailedPrecondition (MODEL_NOT_LOADED, NO_FEATURE_MAP), DeadlineExceeded (`timeout` in
        seconds; what has not begun by then is dropped), Unavailable (object store, STOPPING).
        """
        try:
            return self._explain(photo, sha256s, model_digest, time.monotonic() + timeout)
        except TimeoutError as error:
            raise _late(timeout) from error

    def explain_pairs(self, message: ExplainPairs) -> PairsExplained:
        """Writes the picture of each pair whose images can be shown; a repeat writes the same.

        A model without a feature map has no pictures. Raises InvalidArgument (BAD_MESSAGE,
        INVALID_DIGEST), FailedPrecondition (MODEL_NOT_LOADED, NOT_AN_EMBEDDER), Unavailable.
        """
        if len(message.pairs) != len(message.pictures) or any(len(p) != 2 for p in message.pairs):
            raise InvalidArgument(
                f"{message.TASK}: {len(message.pairs)} pairs, {len(message.pictures)} pictures",
                reason="BAD_MESSAGE",
            )
        with self._models.embedders((message.embedder,)) as (embedder,):
            pairs = zip(message.pairs, message.pictures, strict=True)
            try:
                return PairsExplained(pictures=sum(self._draw(embedder, *each) for each in pairs))
            except FailedPrecondition as error:
                if error.reason != NO_FEATURE_MAP:
                    raise
                return PairsExplained(pictures=0)

    def close(self) -> None:
        """Stops the threads; pool and models belong to the caller."""
        self._readers.shutdown(cancel_futures=True)
        self._asked.shutdown(cancel_futures=True)

    def _explain(
        self, photo: bytes, sha256s: Sequence[str], model_digest: str, deadline: float
    ) -> list[bytes]:
        check_explained(sha256s)
        if not sha256s:
            return []
        inspect(photo, self._pool.limits)
        try:
            with self._models.model(model_digest) as model:
                *others, last = model.embedders.values()
                for each in others:
                    try:
                        return self._by(each, photo, sha256s, deadline)
                    except FailedPrecondition as error:
                        if error.reason != NO_FEATURE_MAP:
                            raise
                return self._by(last, photo, sha256s, deadline)
        except CancelledError as error:
            raise Unavailable("this embedding worker is stopping", reason="STOPPING") from error

    def _by(
        self, embedder: HostedEmbedder, photo: bytes, sha256s: Sequence[str], deadline: float
    ) -> list[bytes]:
        recipe = PixelRecipe.of(embedder.spec)
        decoding = self._pool.submit(photo, recipe, urgent=True)
        rows = self._stored(sha256s, recipe, deadline)
        asked, *found = _seen(embedder, [awaited(decoding, deadline), *rows.values()], deadline)
        seen = dict(zip(rows, found, strict=True))
        pictures = []
        for each in sha256s:
            if time.monotonic() > deadline:
                raise TimeoutError
            pictures.append(_drawn(asked, seen[each]) if each in seen else b"")
        return pictures

    def _draw(self, embedder: HostedEmbedder, pair: tuple[str, str], key: str) -> bool:
        """Whether both could be shown."""
        rows = self._stored(pair, PixelRecipe.of(embedder.spec), None)
        if not all(each in rows for each in pair):
            return False
        query, found = _seen(embedder, [rows[each] for each in pair], None)
        self._objects.put(key, _drawn(query, found))
        return True

    def _stored(
        self, sha256s: Sequence[str], recipe: PixelRecipe, deadline: float | None
    ) -> dict[str, Pixels]:
        """Rows of those that are there and decode."""
        reading = {
            each: self._readers.submit(self._row, each, recipe, deadline)
            for each in dict.fromkeys(sha256s)
        }
        rows = dict(zip(reading, all_awaited(list(reading.values()), deadline), strict=True))
        return {sha256: row for sha256, row in rows.items() if row is not None}

    def _row(self, sha256: str, recipe: PixelRecipe, deadline: float | None) -> Pixels | None:
        try:
            data = read_image(self._objects, sha256)
            return awaited(self._pool.submit(data, recipe, urgent=deadline is not None), deadline)
        except (NotFound, DataLoss, InvalidImage):
            return None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture as a model sees it: uint8 [s, s, 3], float32 [h, w, c], and the box it embeds."""

    picture: Pixels
    map: Float32
    box: Float32


def _seen(embedder: HostedEmbedder, rows: Sequence[Pixels], deadline: float | None) -> list[_Seen]:
    passes = [
        embedder.submit_maps(np.stack(rows[start : start + _PASS]))
        for start in range(0, len(rows), _PASS)
    ]
    views = embedder.spec.views
    maps, boxes = zip(*all_awaited(passes, deadline), strict=True)
    found = zip(rows, np.concatenate(maps), np.concatenate(boxes), strict=True)
    return [_Seen(split_views(row, views)[-1], map_, box) for row, map_, box in found]


def _drawn(first: _Seen, second: _Seen) -> bytes:
    heat, other = agreement(first.map, second.map)
    return draw_pair(
        Heated(first.picture, heat, first.box), Heated(second.picture, other, second.box)
    )


def _late(timeout: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"the results were not explained in {timeout:.3g} s")
