"""The use cases: a shard of stored images, and one query photo. Both share pixels and model."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from services.core.domain.errors import (
    DataLoss,
    DeadlineExceeded,
    InvalidImage,
    NotFound,
    Unavailable,
)
from services.core.domain.near_duplicates import THUMBNAIL, fingerprint
from services.core.messages import EmbedShard, ShardEmbedded
from services.core.ports import ObjectStore, QueryEmbedding
from services.core.shard_files import Embeddings, write_embeddings
from services.core.stored_images import read_image
from services.embedding.forward_gate import Embedded
from services.embedding.model_host import HostedModel, ModelHost
from services.imaging.decode_pool import DecodePool
from services.imaging.headers import inspect
from services.imaging.look_ahead import in_order
from services.imaging.resizing import Pixels

T = TypeVar("T")

IMAGE_MISSING = "IMAGE_MISSING"
DIGEST_MISMATCH = "DIGEST_MISMATCH"
_READERS = 4  # hides the latency of an object store in the network


class BulkEmbedder:
    """Embeds shards. Several at once are welcome: they share decoders, reader threads and the gate.

    `batch` is the number of images in a forward pass: 8 is fastest on a CPU (larger ones leave the
    cache) and keeps queries waiting least; a GPU wants 64 or more. Memory is bounded by `batch`.
    """

    def __init__(
        self, objects: ObjectStore, pool: DecodePool, models: ModelHost, batch: int = 8
    ) -> None:
        self._objects = objects
        self._pool = pool
        self._models = models
        self._batch = batch
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="read-images")

    def embed_shard(self, message: EmbedShard) -> ShardEmbedded:
        """Writes the embeddings of the shard's images to `message.embeddings`.

        Images that are missing, damaged or undecodable are refused one by one. A repeat writes
        the same again. Raises FailedPrecondition (MODEL_NOT_LOADED), InvalidArgument
        (INVALID_DIGEST), Unavailable (object store, decoders).
        """
        model = self._models.embedder(message.model_digest)
        accepted: list[str] = []
        refused: list[tuple[str, str]] = []
        prints: list[tuple[str, Pixels]] = []
        decoded = self._decoded(tuple(dict.fromkeys(message.sha256s)), model, accepted, refused)
        decoded = _fingerprinted(decoded, prints)
        parts = list(self._embedded(decoded, model))
        dimension = model.spec.embedding_dim
        rows = Embeddings(
            tuple(accepted),
            np.concatenate([np.empty((0, dimension), np.float32), *(each[0] for each in parts)]),
            np.concatenate([np.empty(0, np.float32), *(each[1] for each in parts)]),
            np.array([each[1] for each in prints], np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL, 3),
        )
        self._objects.put(message.embeddings, write_embeddings(rows))
        return ShardEmbedded(
            sha256s=tuple(accepted),
            refused=tuple(refused),
            picture_hashes=tuple(each[0] for each in prints),
        )

    def close(self) -> None:
        """Stops the reader threads; pool and models belong to the caller."""
        self._readers.shutdown(cancel_futures=True)

    def _decoded(
        self,
        sha256s: tuple[str, ...],
        model: HostedModel,
        accepted: list[str],
        refused: list[tuple[str, str]],
    ) -> Iterator[Pixels]:
        """Pixels of the images that are good, in order; writes down which were and were not."""
        ahead = 2 * self._batch + 2 * _READERS
        under_way = in_order(
            sha256s, lambda each: self._readers.submit(self._begin, each, model), ahead
        )
        for sha256, begun in zip(sha256s, under_way, strict=True):
            error = begun.exception() or begun.result().exception()
            if error is None:
                accepted.append(sha256)
                yield begun.result().result()
            elif isinstance(error, InvalidImage):
                refused.append((sha256, error.reason))
            else:
                raise error

    def _embedded(self, decoded: Iterator[Pixels], model: HostedModel) -> Iterator[Embedded]:
        """Full batches through the gate, as many under way as there are lanes, results in order."""
        under_way: deque[Future[Embedded]] = deque()
        try:
            for batch in _batches(decoded, self._batch):
                under_way.append(model.embed_bulk(np.stack(batch)))
                if len(under_way) > model.gate.lanes:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for each in under_way:
                each.cancel()

    def _begin(self, sha256: str, model: HostedModel) -> "Future[Pixels]":
        """Reads an image and hands it to the decoders, which hold readers back when they lag."""
        try:
            data = read_image(self._objects, sha256)
        except NotFound as error:
            raise InvalidImage("the image is not stored", reason=IMAGE_MISSING) from error
        except DataLoss as error:
            raise InvalidImage("the stored image is damaged", reason=DIGEST_MISMATCH) from error
        return self._pool.submit(data, model.recipe)


class QueryEmbedder:
    """ports.Embedder in this process: for `local`, and for the workers behind embed.query."""

    def __init__(self, pool: DecodePool, models: ModelHost) -> None:
        self._pool = pool
        self._models = models

    async def embed(  # the port's signature: callers pass what is left of a deadline
        self,
        photo: bytes,
        model_digest: str,
        timeout: float,  # noqa: ASYNC109
    ) -> QueryEmbedding:
        """The embedding of one photo, through the same decoders and model as stored images.

        Raises InvalidImage, FailedPrecondition (MODEL_NOT_LOADED), DeadlineExceeded (`timeout` in
        seconds; what has not begun by then is dropped).
        """
        model = self._models.embedder(model_digest)
        inspect(photo, self._pool.limits)  # refuses most of what is wrong without a child
        started = time.perf_counter()
        try:
            async with asyncio.timeout(timeout):
                decoding = self._pool.submit(photo, model.recipe, urgent=True)
                pixels = await asyncio.wrap_future(decoding)
                decoded = time.perf_counter()
                embedded = await asyncio.wrap_future(model.embed_query(pixels))
        except TimeoutError as error:
            raise _late(timeout) from error
        return _query_embedding(embedded, started, decoded)

    def embed_here(self, photo: bytes, model_digest: str, timeout: float) -> QueryEmbedding:
        """The same for a thread that waits. Threads that wait at the same time share passes.

        Also raises Unavailable (STOPPING).
        """
        deadline = time.monotonic() + timeout
        model = self._models.embedder(model_digest)
        inspect(photo, self._pool.limits)
        started = time.perf_counter()
        try:
            pixels = _awaited(self._pool.submit(photo, model.recipe, urgent=True), deadline)
            decoded = time.perf_counter()
            embedded = _awaited(model.embed_query(pixels), deadline)
        except TimeoutError as error:
            raise _late(timeout) from error
        except CancelledError as error:
            raise Unavailable("this embedding worker is stopping", reason="STOPPING") from error
        return _query_embedding(embedded, started, decoded)


def _awaited(future: "Future[T]", deadline: float) -> T:
    """Its result; what has not begun by the deadline is dropped. Raises TimeoutError."""
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        future.cancel()
        raise


def _late(timeout: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"the photo was not embedded in {timeout:.3g} s")


def _query_embedding(embedded: Embedded, started: float, decoded: float) -> QueryEmbedding:
    (embedding,), (norm,) = embedded
    now = time.perf_counter()
    timings = {"decode": 1e3 * (decoded - started), "embed": 1e3 * (now - decoded)}
    return QueryEmbedding(embedding, float(norm), timings)


def _fingerprinted(decoded: Iterator[Pixels], prints: list[tuple[str, Pixels]]) -> Iterator[Pixels]:
    """The same pixels; writes down the fingerprint of each."""
    for pixels in decoded:
        prints.append(fingerprint(pixels))
        yield pixels


def _batches(items: Iterator[Pixels], size: int) -> Iterator[list[Pixels]]:
    batch: list[Pixels] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
