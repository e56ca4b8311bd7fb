"""Distances between vectors, precise enough to order neighbours and to see ties."""

import numpy as np

from services.core.domain.model_spec import DISTANCES
from services.core.ports import Float32
from services.retrieval.linear import Float64

_SHORTEST = np.finfo(np.float64).tiny
# Values of |a - b| that are held at once while Manhattan distances are summed.
_DIFFERENCES = 1 << 15


def check_vectors(name: str, vectors: Float32, dimension: int | None = None) -> None:
    """Raises ValueError unless `vectors` are [n, d], where `dimension` is given [n, dimension]."""
    if vectors.ndim != 2 or dimension not in (None, vectors.shape[1]):
        raise ValueError(f"{name} {vectors.shape} are not [n, {dimension or 'd'}]")


def check_distance(distance: str) -> None:
    """Raises ValueError for a distance that no model declares."""
    if distance not in DISTANCES:
        raise ValueError(f"distance '{distance}' is none of {', '.join(DISTANCES)}")


def unit(vectors: Float32 | Float64) -> Float64:
    """float64 [..., d], each brought to length 1; zeros stay zeros."""
    wide = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("...d,...d->...", wide, wide))[..., None]
    scaled: Float64 = wide / np.maximum(lengths, _SHORTEST)
    return scaled


def prepared(vectors: Float32, distance: str) -> Float64:
    """float64 [n, d] as the functions below take them: of length 1 for cosine."""
    return unit(vectors) if distance == "cosine" else vectors.astype(np.float64)


def raw_distances(ours: Float64, theirs: Float64, distance: str) -> Float64:
    """float64 [n, m] between prepared [n, d] and [m, d], 0 and more.

    For "cosine" the squared Euclidean distance of unit vectors, 2 - 2 cos; for "euclidean" the
    squared distance too, whose rounding does not grow near 0; for "manhattan" the distance.
    """
    if distance == "manhattan":
        return _manhattan(ours, theirs)
    products = ours @ theirs.T
    products *= -2.0
    products += np.einsum("nd,nd->n", ours, ours)[:, None]
    products += np.einsum("md,md->m", theirs, theirs)
    clipped: Float64 = np.maximum(products, 0.0, out=products)
    return clipped


def pair_distances(ours: Float64, theirs: Float64, distance: str) -> Float64:
    """float64 [n]: as raw_distances, of each row of prepared [n, d] and the same row of [n, d]."""
    differences = ours - theirs
    if distance == "manhattan":
        total: Float64 = np.abs(differences, out=differences).sum(axis=1)
        return total
    squared: Float64 = np.einsum("nd,nd->n", differences, differences)
    return squared


def _manhattan(ours: Float64, theirs: Float64) -> Float64:
    """In blocks that stay in the caches."""
    step = max(1, _DIFFERENCES // max(1, theirs.shape[1]))
    found = np.empty((len(ours), len(theirs)))
    for start in range(0, len(theirs), step):
        block = theirs[start : start + step]
        room = np.empty_like(block)
        for row, vector in enumerate(ours):
            np.abs(np.subtract(block, vector, out=room), out=room)
            room.sum(axis=1, out=found[row, start : start + step])
    return found
