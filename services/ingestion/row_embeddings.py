"""Embeddings that rows carry: read, checked, and collected for the file of their shard."""

import base64
import binascii
from typing import Any, NamedTuple

import numpy as np

from services.core.domain.external_model import is_normalised
from services.core.domain.vector_images import vector_sha256
from services.core.ports import Float32
from services.core.shard_files import Embeddings

# Values that come out of float32 arithmetic as normalised differ from length 1 by less: they are
# left as they are, so that what was exported is imported with the same bytes.
_NORMALISED = 1e-6


class BadEmbedding(Exception):
    """`reason` is UPPER_SNAKE, `value` what the report shows."""

    def __init__(self, reason: str, value: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


class RowEmbedding(NamedTuple):
    """float32 [dimension] as it is stored, its length before that, and the hash of its bytes."""

    values: Float32
    norm: float
    sha256: str


class RowEmbeddings:
    """Those of one shard, for a model whose embeddings have `dimension` values."""

    def __init__(self, dimension: int, distance: str) -> None:
        self._dimension = dimension
        self._normalised = is_normalised(distance)
        self._kept: list[tuple[str, RowEmbedding]] = []

    def read(self, value: Any) -> RowEmbedding:
        """The embedding of a row: base64 of little-endian float32, or a list of numbers.

        Raises BadEmbedding (EMBEDDING_MISSING, EMBEDDING_UNREADABLE, DIMENSION_MISMATCH,
        EMBEDDING_NOT_FINITE, EMBEDDING_ZERO).
        """
        if value is None:
            raise BadEmbedding("EMBEDDING_MISSING")
        values = _values(value)
        if values.shape != (self._dimension,):
            shown = f"{values.size} values, the model has {self._dimension}"
            raise BadEmbedding("DIMENSION_MISMATCH", shown)
        if not np.isfinite(values).all():
            raise BadEmbedding("EMBEDDING_NOT_FINITE")
        # Squares of large float32 values overflow, hence float64.
        norm = float(np.linalg.norm(values.astype(np.float64)))
        if self._normalised:
            if norm == 0:
                raise BadEmbedding("EMBEDDING_ZERO")
            if abs(norm - 1) > _NORMALISED:
                values = (values.astype(np.float64) / norm).astype(np.float32)
        return RowEmbedding(values, norm, vector_sha256(values.astype("<f4").tobytes()))

    def keep(self, image: str, embedding: RowEmbedding) -> None:
        """The next accepted row's embedding is that of the image with the hash `image`."""
        self._kept.append((image, embedding))

    @property
    def images(self) -> tuple[str, ...]:
        """Hashes of the images, in the order of the file."""
        return tuple(image for image, _ in self._kept)

    def file(self) -> Embeddings:
        """A row for every accepted row, in their order: a repeat writes the same vectors."""
        values = [each.values for _, each in self._kept]
        norms = [each.norm for _, each in self._kept]
        stacked = np.array(values, np.float32).reshape(-1, self._dimension)
        return Embeddings(self.images, stacked, np.array(norms, np.float32))


def _values(value: Any) -> Float32:
    """float32 [n]; values that float32 cannot hold are infinite. Raises BadEmbedding."""
    try:
        if isinstance(value, str):
            values = np.frombuffer(base64.b64decode(value, validate=True), "<f4")
            return values.astype(np.float32)
        if isinstance(value, list) and all(type(each) in (int, float) for each in value):
            with np.errstate(over="ignore"):
                return np.array(value, np.float64).astype(np.float32)
    except (ValueError, OverflowError, binascii.Error):
        pass
    shown = str(value)[:80] if isinstance(value, str) else f"a {type(value).__name__}"
    raise BadEmbedding("EMBEDDING_UNREADABLE", shown)
