"""Mean and covariance of many embeddings, a batch at a time.

Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample
variances": sums of products of deviations from each batch's own mean, which are merged. Nothing
large is subtracted from something as large, so an offset far from zero costs no digits.
"""

import numpy as np

from services.core.domain.errors import DataLoss, FailedPrecondition, InvalidArgument
from services.core.ports import Float32
from services.retrieval.linear import Float64

# A scatter matrix of this many dimensions is 512 MiB; to take it apart needs six times that.
MOST_DIMENSIONS = 8192
_ROWS = 4096


class Moments:
    """Count, mean float64 [d] and scatter float64 [d, d] of the rows so far.

    Holds a few matrices [d, d] and never more than 4096 rows in float64. Not safe to share between
    threads: give each its own, and merge them. Raises InvalidArgument (TOO_MANY_DIMENSIONS).
    """

    def __init__(self, dimension: int) -> None:
        if not 1 <= dimension <= MOST_DIMENSIONS:
            raise InvalidArgument.field(
                "dimension",
                f"embeddings of {dimension} values are not from 1 to {MOST_DIMENSIONS}, for which "
                "a covariance can be held: compress the members first",
                reason="TOO_MANY_DIMENSIONS",
            )
        self.count = 0
        self.mean: Float64 = np.zeros(dimension)
        self._scatter: Float64 = np.zeros((dimension, dimension))

    @property
    def dimension(self) -> int:
        return len(self.mean)

    def add(self, batch: Float32 | Float64) -> None:
        """Takes the rows of [n, d] in. Raises InvalidArgument (DIMENSION_MISMATCH), DataLoss
        (EMBEDDING_NOT_FINITE); then some rows may have been taken."""
        if batch.ndim != 2 or batch.shape[1] != self.dimension:
            raise _mismatch(f"embeddings {batch.shape} are not [n, {self.dimension}]")
        for start in range(0, len(batch), _ROWS):
            rows = batch[start : start + _ROWS].astype(np.float64)
            mean = rows.mean(axis=0)
            if not np.isfinite(mean).all():
                raise DataLoss(
                    "an embedding holds values that are not finite: embed its image again",
                    reason="EMBEDDING_NOT_FINITE",
                )
            rows -= mean
            # Of a matrix and itself, BLAS computes one triangle.
            self._take(len(rows), mean, rows.T @ rows)

    def merge(self, other: "Moments") -> None:
        """Takes in what `other` has seen. Raises InvalidArgument (DIMENSION_MISMATCH)."""
        if other.dimension != self.dimension:
            raise _mismatch(f"moments of {other.dimension} values, not {self.dimension}")
        if other.count:
            self._take(other.count, other.mean, other._scatter)

    def covariance(self) -> Float64:
        """float64 [d, d], of a sample (divided by n - 1). Raises FailedPrecondition
        (TOO_FEW_EMBEDDINGS) for fewer than two rows."""
        if self.count < 2:
            raise FailedPrecondition(
                f"a covariance needs at least 2 embeddings, there are {self.count}: import more "
                "images first",
                reason="TOO_FEW_EMBEDDINGS",
            )
        return self._scatter / (self.count - 1)

    def _take(self, count: int, mean: Float64, scatter: Float64) -> None:
        total = self.count + count
        step = mean - self.mean
        self._scatter += scatter
        if self.count:
            scaled = step * np.sqrt(self.count * count / total)
            self._scatter += np.outer(scaled, scaled)
        self.mean = self.mean + step * (count / total)
        self.count = total


def _mismatch(problem: str) -> InvalidArgument:
    return InvalidArgument.field("embeddings", problem, reason="DIMENSION_MISMATCH")
