"""Query expansion, and the same for the gallery (database-side augmentation).

Chum et al. (2007), "Total recall": the mean of a query and its best neighbours asks better than the
query. Radenovic et al. (2018), "Fine-tuning CNN image retrieval with no human annotation": each
neighbour counts by its similarity to the power of alpha. Turcot and Lowe (2009), "Better matching
with fewer features": the gallery's own vectors gain in the same way.
"""

import numpy as np

from services.core.domain.stages import Expansion
from services.core.ports import Float32
from services.retrieval.linear import Float64
from services.retrieval.pairwise import (
    check_distance,
    check_vectors,
    prepared,
    raw_distances,
    unit,
)

# Distances that are held at once while a gallery is augmented.
_DISTANCES = 1 << 22


def expand(
    query: Float32, neighbours: Float32, similarities: Float32, expansion: Expansion, distance: str
) -> Float32:
    """The expanded query, float32 [d], of length 1 for cosine.

    Args:
        query: [d], counts with weight 1.
        neighbours: [n, d], best first, of which the first `expansion.neighbours` are used; without
            any, and where the mean is zero, the query comes back.
        similarities: [n], the scores of `neighbours`.
        expansion: "alpha" weighs a neighbour by its cosine similarity, at least 0, to the power of
            alpha. Negative distances give no such weight: models that declare another distance than
            cosine get the plain mean with both methods.
        distance: of the model.

    Raises ValueError for arrays that do not fit.
    """
    check_distance(distance)
    check_vectors("query", query[None])
    check_vectors("neighbours", neighbours, len(query))
    if similarities.shape != (len(neighbours),):
        raise ValueError(f"similarities {similarities.shape} are not ({len(neighbours)},)")
    used = neighbours[: expansion.neighbours].astype(np.float64)
    if not len(used):
        return query.astype(np.float32)
    weights = np.ones(len(used))
    if expansion.method == "alpha":
        weights = _weights(similarities[: len(used)].astype(np.float64), expansion.alpha, distance)
    mean = (query + weights @ used) / (1.0 + weights.sum())
    expanded: Float32 = _as_the_model(mean[None], query[None], distance)[0]
    return expanded


def augment(gallery: Float32, neighbours: int, alpha: float, distance: str) -> Float32:
    """The gallery with each vector replaced by the weighted mean of itself and its nearest others.

    For offline use: every vector is compared with every other, a chunk of rows at a time.

    Args:
        gallery: [n, d].
        neighbours: how many others, fewer in a smaller gallery. Of others that are equally near,
            any may be taken.
        alpha: weights are those of `expand`; 0 gives the plain mean.
        distance: of the model.

    Returns float32 [n, d], of length 1 for cosine. Raises InvalidArgument (STAGE_INVALID),
    ValueError for arrays that do not fit.
    """
    check_distance(distance)
    check_vectors("gallery", gallery)
    wanted = Expansion(neighbours=neighbours, alpha=alpha)
    count = min(wanted.neighbours, len(gallery) - 1)
    if count < 1:
        return gallery.astype(np.float32)
    vectors = prepared(gallery, distance)
    augmented = np.empty(gallery.shape, np.float32)
    step = max(1, _DISTANCES // len(gallery))
    for start in range(0, len(gallery), step):
        rows = slice(start, start + step)
        means = _means(vectors, start, vectors[rows], count, alpha, distance)
        augmented[rows] = _as_the_model(means, gallery[rows], distance)
    return augmented


def _means(
    vectors: Float64, start: int, rows: Float64, count: int, alpha: float, distance: str
) -> Float64:
    """Weighted means of `rows`, those of `vectors` from `start` on, and their nearest others."""
    distances = raw_distances(rows, vectors, distance)
    numbers = np.arange(len(rows))
    distances[numbers, start + numbers] = np.inf
    nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
    similarities = 1.0 - np.take_along_axis(distances, nearest, axis=1) / 2.0
    weights = _weights(similarities, alpha, distance)
    total = rows.copy()
    for place in range(count):
        total += weights[:, place, None] * vectors[nearest[:, place]]
    mean: Float64 = total / (1.0 + weights.sum(axis=1, keepdims=True))
    return mean


def _weights(similarities: Float64, alpha: float, distance: str) -> Float64:
    if distance != "cosine":
        return np.ones_like(similarities)
    weights: Float64 = np.maximum(similarities, 0.0) ** alpha
    return weights


def _as_the_model(means: Float64, instead: Float32, distance: str) -> Float32:
    """float32 [n, d]; for cosine of length 1, and rows of `instead` where a mean has no length."""
    if distance != "cosine":
        return means.astype(np.float32)
    lost = np.linalg.norm(means, axis=1) < np.finfo(np.float32).eps
    units: Float32 = np.where(lost[:, None], instead, unit(means)).astype(np.float32)
    return units
