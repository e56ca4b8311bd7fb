"""Whitening and PCA from the moments of a gallery."""

from dataclasses import dataclass

import numpy as np

from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.retrieval.linear import Float64, Linear
from services.retrieval.moments import Moments

# Variances below this share of the largest are rounding of float32: to divide by their roots would
# make noise larger by 100,000.
_NOISE = 1e-10


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted linear part; `explained` is the share, from 0 to 1, of the gallery's variance in the
    directions that it keeps."""

    linear: Linear
    explained: float


def fit_whitening(moments: Moments, dimension: int = 0, shrinkage: float = 0.0) -> Fit:
    """PCA-whitening: the eigenvectors U of the covariance, those with the largest eigenvalues S
    first, each divided by its S^1/2 (Han 2022, Algorithm 1).

    Args:
        moments: of the gallery alone, never of queries.
        dimension: how many directions are kept; 0 for all.
        shrinkage: in [0, 1], how much of the covariance is replaced by trace/d times the identity
            (Ledoit and Wolf 2004); more than 0 keeps small eigenvalues from being blown up.

    Raises InvalidArgument (DIMENSION_TOO_LARGE, INVALID_SHRINKAGE), FailedPrecondition
    (TOO_FEW_EMBEDDINGS) where the gallery has no variance in as many directions.
    """
    dimension = check_fit(moments.dimension, dimension, shrinkage)
    values, vectors = _spectrum(moments)
    trace = values.sum()
    mixed = (1 - shrinkage) * values + shrinkage * trace / len(values)
    _check_rank(moments, mixed, dimension)
    matrix = vectors[:, :dimension] / np.sqrt(mixed[:dimension])
    return Fit(_linear(moments, matrix), _share(values, dimension))


def fit_pca(moments: Moments, dimension: int = 0) -> Fit:
    """A rotation onto the directions of most variance, as Conde 2022 compresses 1024 values to 64.

    Lengths and angles within these directions stay. Arguments and errors as fit_whitening.
    """
    dimension = check_fit(moments.dimension, dimension)
    values, vectors = _spectrum(moments)
    _check_rank(moments, values, dimension)
    return Fit(_linear(moments, vectors[:, :dimension]), _share(values, dimension))


def check_fit(input_dim: int, dimension: int, shrinkage: float = 0.0) -> int:
    """The number of directions to keep of `input_dim`. Raises InvalidArgument as fit_whitening."""
    if not 0 <= dimension <= input_dim:
        raise InvalidArgument.field(
            "dimension",
            f"{dimension} values cannot be kept of {input_dim}: use 1 to {input_dim}, or 0 for all",
            reason="DIMENSION_TOO_LARGE",
        )
    if not 0.0 <= shrinkage <= 1.0:
        raise InvalidArgument.field(
            "shrinkage", f"{shrinkage} is not from 0 to 1", reason="INVALID_SHRINKAGE"
        )
    return dimension or input_dim


def _spectrum(moments: Moments) -> tuple[Float64, Float64]:
    """Eigenvalues [d], largest first, and the eigenvectors [d, d] in the columns.

    The largest value of an eigenvector is positive, so that the same gallery gives the same signs.
    """
    values, vectors = np.linalg.eigh(moments.covariance())
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    return values, vectors * np.sign(vectors[largest, np.arange(len(values))])


def _check_rank(moments: Moments, values: Float64, dimension: int) -> None:
    possible = int(np.count_nonzero(values > _NOISE * values[0]))
    if possible >= dimension:
        return
    problem = f"{moments.count} embeddings vary in {possible} directions, {dimension} are wanted: "
    if moments.count <= dimension:
        problem += f"at least {dimension + 1} different images are needed; or "
    raise FailedPrecondition(
        problem + f"use a dimension of at most {possible}, or whitening with a shrinkage above 0"
        if possible
        else f"{moments.count} embeddings are all the same: import different images first",
        reason="TOO_FEW_EMBEDDINGS",
        metadata={
            "embeddings": str(moments.count),
            "needed": str(dimension + 1),
            "possible_dimension": str(possible),
        },
    )


def _linear(moments: Moments, matrix: Float64) -> Linear:
    return Linear(moments.mean.astype(np.float32), np.ascontiguousarray(matrix).astype(np.float32))


def _share(values: Float64, dimension: int) -> float:
    return float(min(1.0, values[:dimension].sum() / values.sum()))
