"""The use cases: a shard of stored images, and one query photo. Both share pixels and models."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing

from services.core.domain.errors import (
    DataLoss,
    DeadlineExceeded,
    InvalidImage,
    NotFound,
    Unavailable,
)
from services.core.domain.near_duplicates import fingerprint
from services.core.messages import EmbedShard
from services.core.outcomes import ShardEmbedded
from services.core.ports import Float32, ObjectStore, QueryEmbedding
from services.core.shard_files import write_embeddings
from services.core.stored_images import read_image
from services.embedding.awaiting import all_awaited, awaited
from services.embedding.explaining import Explainer
from services.embedding.forward_gate import Embedded
from services.embedding.model_host import HostedModel, ModelHost
from services.embedding.shard_members import ShardMember, ShardPasses, wanted_by
from services.embedding.shared_pixels import SharedPixels
from services.imaging.decode_pool import DecodePool
from services.imaging.headers import inspect
from services.imaging.look_ahead import in_order
from services.imaging.resizing import PixelRecipe, Pixels

IMAGE_MISSING = "IMAGE_MISSING"
DIGEST_MISMATCH = "DIGEST_MISMATCH"
_READERS = 4  # hides the latency of an object store in the network
_AHEAD_BYTES = 256 << 20  # of pixels that wait for a forward pass


class BulkEmbedder:
    """Embeds shards. Several at once are welcome: they share decoders, reader threads and the gate.

    `batch` is the number of images in a forward pass: 8 is fastest on a CPU (larger ones leave the
    cache) and keeps queries waiting least; a GPU wants 64 or more. Memory is bounded by `batch` and
    the number of embedders.
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
        """Writes a file of embeddings for each embedder of the message; every image that one of
        them wants is decoded once.

        Images that are missing, damaged or undecodable are refused one by one. A repeat writes
        the same again. Raises FailedPrecondition (MODEL_NOT_LOADED, NOT_AN_EMBEDDER,
        PIXELS_UNSUPPORTED), InvalidArgument (BAD_MESSAGE, INVALID_DIGEST), Unavailable (object
        store, decoders).
        """
        wanted = wanted_by(message)
        every = frozenset().union(*wanted)
        sha256s = [each for each in dict.fromkeys(message.sha256s) if each in every]
        with self._models.embedders(message.embedders) as embedders:
            members = [
                ShardMember(embedder, wants)
                for embedder, wants in zip(embedders, wanted, strict=True)
            ]
            outcome = self._embed(sha256s, members)
        for key, member in zip(message.embeddings, members, strict=True):
            self._objects.put(key, write_embeddings(member.rows()))
        return outcome

    def close(self) -> None:
        """Stops the reader threads; pool and models belong to the caller."""
        self._readers.shutdown(cancel_futures=True)

    def _embed(self, sha256s: Sequence[str], members: Sequence[ShardMember]) -> ShardEmbedded:
        pixels = SharedPixels([each.embedder.spec for each in members])
        accepted: list[str] = []
        refused: list[tuple[str, str]] = []
        hashes: list[str] = []
        passes = ShardPasses(members, self._batch)
        with closing(passes):
            for sha256, row in self._decoded(sha256s, pixels.recipe, refused):
                accepted.append(sha256)
                picture_hash, thumbnail = fingerprint(pixels.first(row))
                hashes.append(picture_hash)
                for number, member in enumerate(members):
                    if sha256 in member.wanted:
                        member.sha256s.append(sha256)
                        member.thumbnails.append(thumbnail)
                        passes.add(member, pixels.part(row, number))
            passes.finish()
        return ShardEmbedded(
            sha256s=tuple(accepted), refused=tuple(refused), picture_hashes=tuple(hashes)
        )

    def _decoded(
        self, sha256s: Sequence[str], recipe: PixelRecipe, refused: list[tuple[str, str]]
    ) -> Iterator[tuple[str, Pixels]]:
        """The images that are good, in order, and their pixels; writes down which were not."""
        ahead = min(2 * self._batch + 2 * _READERS, max(1, _AHEAD_BYTES // recipe.row_bytes))
        under_way = in_order(
            sha256s, lambda each: self._readers.submit(self._begin, each, recipe), ahead
        )
        for sha256, begun in zip(sha256s, under_way, strict=True):
            error = begun.exception() or begun.result().exception()
            if error is None:
                yield sha256, begun.result().result()
            elif isinstance(error, InvalidImage):
                refused.append((sha256, error.reason))
            else:
                raise error

    def _begin(self, sha256: str, recipe: PixelRecipe) -> "Future[Pixels]":
        """Reads an image and hands it to the decoders, which hold readers back when they lag."""
        try:
            data = read_image(self._objects, sha256)
        except NotFound as error:
            raise InvalidImage("the image is not stored", reason=IMAGE_MISSING) from error
        except DataLoss as error:
            raise InvalidImage("the stored image is damaged", reason=DIGEST_MISMATCH) from error
        return self._pool.submit(data, recipe)


class QueryEmbedder:
    """ports.Embedder in this process: for `local`, and for the workers behind embed.query."""

    def __init__(self, pool: DecodePool, models: ModelHost, explainer: Explainer) -> None:
        self._pool = pool
        self._models = models
        self._explainer = explainer

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
        inspect(photo, self._pool.limits)  # refuses most of what is wrong without a child
        try:
            async with asyncio.timeout(timeout):
                if not self._models.is_loaded(model_digest):
                    await asyncio.to_thread(self._load, model_digest)
                with self._models.model(model_digest) as model:
                    started = time.perf_counter()
                    decoding = self._pool.submit(photo, model.pixels.recipe, urgent=True)
                    row = await asyncio.wrap_future(decoding)
                    decoded = time.perf_counter()
                    passes = [asyncio.wrap_future(each) for each in model.submit(row)]
                    embedded = await asyncio.gather(*passes)
                    embedding, norm = await _composed(model, embedded)
        except TimeoutError as error:
            raise _late(timeout) from error
        return _query_embedding(embedding, norm, started, decoded)

    def embed_here(self, photo: bytes, model_digest: str, timeout: float) -> QueryEmbedding:
        """The same for a thread that waits. Threads that wait at the same time share passes.

        Also raises Unavailable (STOPPING).
        """
        deadline = time.monotonic() + timeout
        inspect(photo, self._pool.limits)
        try:
            with self._models.model(model_digest) as model:
                started = time.perf_counter()
                decoding = self._pool.submit(photo, model.pixels.recipe, urgent=True)
                row = awaited(decoding, deadline)
                decoded = time.perf_counter()
                embedded = all_awaited(model.submit(row), deadline)
                embedding, norm = model.compose(embedded)
        except TimeoutError as error:
            raise _late(timeout) from error
        except CancelledError as error:
            raise Unavailable("this embedding worker is stopping", reason="STOPPING") from error
        return _query_embedding(embedding, norm, started, decoded)

    async def explain(
        self,
        photo: bytes,
        sha256s: Sequence[str],
        model_digest: str,
        timeout: float,  # noqa: ASYNC109
    ) -> list[bytes]:
        """Pictures of why stored images were found, as Explainer.explain_here."""
        return await self._explainer.explain(photo, sha256s, model_digest, timeout)

    def explain_here(
        self, photo: bytes, sha256s: Sequence[str], model_digest: str, timeout: float
    ) -> list[bytes]:
        """The same for a thread that waits."""
        return self._explainer.explain_here(photo, sha256s, model_digest, timeout)

    def _load(self, model_digest: str) -> None:
        with self._models.model(model_digest):
            pass


async def _composed(model: HostedModel, embedded: Sequence[Embedded]) -> tuple[Float32, float]:
    """Milliseconds where there are linear parts: they do not hold up the loop."""
    if model.linears:
        return await asyncio.to_thread(model.compose, embedded)
    return model.compose(embedded)


def _late(timeout: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"the photo was not embedded in {timeout:.3g} s")


def _query_embedding(
    embedding: Float32, norm: float, started: float, decoded: float
) -> QueryEmbedding:
    now = time.perf_counter()
    timings = {"decode": 1e3 * (decoded - started), "embed": 1e3 * (now - decoded)}
    return QueryEmbedding(embedding, norm, timings)
