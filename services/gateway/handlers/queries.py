"""What a search looks for, and how it becomes a vector."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from services.core.deployment_ports import Deployment
from services.core.domain import names
from services.core.domain.errors import FailedPrecondition, InvalidArgument, InvalidImage
from services.core.ports import Embedder, Float32, QueryEmbedding, VectorStore
from services.imaging.headers import inspect
from services.imaging.limits import ImageLimits
from services.retrieval.fusing import fuse


@dataclass(frozen=True, slots=True)
class Photo:
    """The bytes of the user's photo, and of `more` photos of the same product."""

    data: bytes = field(repr=False)
    more: tuple[bytes, ...] = field(default=(), repr=False)

    def check(self, limits: ImageLimits) -> None:
        """Raises InvalidImage, which names the photo where it is not the first."""
        for number, data in enumerate((self.data, *self.more)):
            with _of_photo(number):
                inspect(data, limits)

    async def embed(
        self,
        embedder: Embedder,
        digest: str,
        timeout: float,  # noqa: ASYNC109 - what is left of a deadline
    ) -> list[QueryEmbedding]:
        """One embedding a photo, made side by side. Raises as Embedder.embed."""
        if not self.more:
            return [await embedder.embed(self.data, digest, timeout)]
        works = [
            asyncio.ensure_future(_embed(embedder, number, data, digest, timeout))
            for number, data in enumerate((self.data, *self.more))
        ]
        try:
            return await asyncio.gather(*works)
        finally:
            for each in works:
                each.cancel()


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A stored image of the catalogue that is searched."""

    product: str
    sha256: str

    def fetch(self, deployment: Deployment, vectors: VectorStore) -> Float32:
        """Its embedding from the collection, float32 [dimension].

        Raises FailedPrecondition (IMAGE_NOT_SEARCHABLE).
        """
        point = deployment.point_id(self.product, self.sha256)
        found = vectors.fetch(deployment.collection, [point]).get(point)
        if found is None:
            name = names.image_name(deployment.catalog, self.product, self.sha256)
            raise FailedPrecondition(
                f"{name} is not searchable yet: repeat when its state is SEARCHABLE",
                reason="IMAGE_NOT_SEARCHABLE",
                metadata={"image": name},
            )
        return found.vector


@dataclass(frozen=True, slots=True)
class Vector:
    """An embedding that the caller made: float32 [n], not checked yet."""

    values: Float32

    def checked(self, deployment: Deployment) -> Float32:
        """float32 [dimension], of length 1 where the distance is cosine.

        Raises InvalidArgument (DIMENSION_MISMATCH, EMBEDDING_NOT_FINITE, EMBEDDING_ZERO).
        """
        if self.values.shape != (deployment.dimension,):
            raise InvalidArgument.field(
                "embedding.values",
                f"{self.values.size} values, but {names.model_name(deployment.model)} "
                f"makes {deployment.dimension}",
                reason="DIMENSION_MISMATCH",
            )
        if not np.isfinite(self.values).all():
            raise InvalidArgument.field(
                "embedding.values", "not all are finite", reason="EMBEDDING_NOT_FINITE"
            )
        if deployment.distance != "cosine":
            return self.values
        # Squares of large float32 values overflow, hence float64.
        norm = np.linalg.norm(self.values.astype(np.float64))
        if norm == 0:
            raise InvalidArgument.field("embedding.values", "all are zero", reason="EMBEDDING_ZERO")
        return (self.values / norm).astype(np.float32)


Query = Photo | StoredImage | Vector


def fused(embedded: Sequence[QueryEmbedding], distance: str) -> QueryEmbedding:
    """One embedding of the product that all photos show; of their times the longest count."""
    if len(embedded) == 1:
        return embedded[0]
    vector = fuse(np.stack([each.embedding for each in embedded]), distance)
    stages = {stage for each in embedded for stage in each.timings_ms}
    times = {stage: max(each.timings_ms.get(stage, 0.0) for each in embedded) for stage in stages}
    return QueryEmbedding(vector, float(np.linalg.norm(vector)), times)


async def _embed(
    embedder: Embedder, number: int, data: bytes, digest: str, seconds: float
) -> QueryEmbedding:
    with _of_photo(number):
        return await embedder.embed(data, digest, seconds)


@contextmanager
def _of_photo(number: int) -> Iterator[None]:
    """Names the photo in an error about it."""
    try:
        yield
    except InvalidImage as error:
        if number == 0:
            raise
        field = f"more_photos[{number - 1}]"
        raise InvalidImage(
            f"{field}: {error.message}",
            reason=error.reason,
            metadata=error.metadata | {"field": field},
        ) from error
