"""What a search looks for, and how it becomes a vector."""

from dataclasses import dataclass, field

import numpy as np

from services.core.deployment_ports import Deployment
from services.core.domain import names
from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.ports import Float32, VectorStore


@dataclass(frozen=True, slots=True)
class Photo:
    """The bytes of the user's photo."""

    data: bytes = field(repr=False)


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
