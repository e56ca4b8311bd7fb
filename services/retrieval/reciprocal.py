"""k-reciprocal re-ranking of one query's own candidates.

Zhong et al. (2017), "Re-ranking person re-identification with k-reciprocal encoding". The paper's
graph is over all queries and the whole gallery (reciprocal_joint); here it is over this query and
its candidates alone, as Han 2022 does, so that no query changes the answer to another.

What the paper leaves open, here as in its authors' program: a vector is its own first neighbour,
N(p, k1) is itself and its k1 nearest, N(p, k2) itself and its k2 - 1 nearest, half of k1 is rounded
to the even number, and the original distances of each vector are divided by the largest of them.
Where that program departs from the paper (it brings the weights of a vector to a sum of 1, and
wants more than two thirds of a neighbour's set), the paper holds. What is equally far as the last
neighbour is a neighbour too, so that the order in which vectors come does not matter.
"""

import numpy as np
import numpy.typing as npt

from services.core.domain.stages import Reranking
from services.core.ports import Float32
from services.retrieval.linear import Float64
from services.retrieval.pairwise import check_distance, check_vectors, prepared, raw_distances

Bool = npt.NDArray[np.bool_]
# Share of the largest raw distance of a vector below which two of them count as equal.
TIE = 1e-12


def rerank(query: Float32, candidates: Float32, reranking: Reranking, distance: str) -> Float32:
    """float32 [n], higher is nearer: 1 - (weight * original + (1 - weight) * Jaccard distance).

    Both distances lie in [0, 1]. The original one is 2 - 2 cos (the squared Euclidean distance of
    unit vectors) for cosine and the distance itself for Euclidean and Manhattan, over its largest
    value from the query to a candidate.

    Args:
        query: [d].
        candidates: [n, d], in any order, also fewer than k1.
        reranking: k1, k2 and the weight; `candidates` is not used, all are taken.
        distance: of the model.

    Raises ValueError for arrays that do not fit.
    """
    check_distance(distance)
    check_vectors("query", query[None])
    check_vectors("candidates", candidates, len(query))
    if not len(candidates):
        return np.zeros(0, np.float32)
    nodes = prepared(np.concatenate([query[None], candidates]), distance)
    raw = raw_distances(nodes, nodes, distance)
    original = normalised(raw, raw.max(axis=1), distance)
    wide, narrow, few = _nearest(raw, [reranking.k1, half(reranking.k1), reranking.k2 - 1])
    jaccard = _jaccard_of_first(_encoded(wide, narrow, original), few)
    final = reranking.weight * original[0] + (1.0 - reranking.weight) * jaccard
    reranked: Float32 = (1.0 - final[1:]).astype(np.float32)
    return reranked


def normalised(raw: Float64, largest: Float64, distance: str) -> Float64:
    """Original distances [n, m] in [0, 1] from raw ones and the largest [n] of each row."""
    shares: Float64 = raw / np.where(largest > 0.0, largest, 1.0)[:, None]
    return np.sqrt(shares) if distance == "euclidean" else shares


def half(k1: int) -> int:
    """k1 / 2, rounded to the even number."""
    return round(k1 / 2)


def _encoded(wide: Bool, narrow: Bool, original: Float64) -> Float64:
    """Each node as the vector [n] of its k-reciprocal neighbours (sections 3.2 and 3.3 of the
    paper), from its neighbours for k1 and half of it."""
    reciprocal, smaller = wide & wide.T, narrow & narrow.T
    # Products with matrices of bool would not be done by BLAS.
    sets = smaller.astype(np.float32)
    overlaps = reciprocal.astype(np.float32) @ sets.T
    taken = reciprocal & (3.0 * overlaps >= 2.0 * sets.sum(axis=1))
    expanded = reciprocal | (taken.astype(np.float32) @ sets > 0.0)
    weights: Float64 = np.where(expanded, np.exp(-original), 0.0)
    return weights


def _nearest(raw: Float64, ranks: list[int]) -> list[Bool]:
    """For each rank, counted from 0, who is at most as far [n, n] as the one of that rank."""
    places = [min(rank, len(raw) - 1) for rank in ranks]
    ordered = np.partition(raw, sorted(set(places)), axis=1)
    slack = TIE * raw.max(axis=1)
    return [raw <= (ordered[:, place] + slack)[:, None] for place in places]


def _jaccard_of_first(weights: Float64, few: Bool) -> Float64:
    """Jaccard distances [n] between the first row and every row after local query expansion
    (sections 3.3 and 3.5 of the paper), from the rows before that and the neighbours for k2."""
    means = few / few.sum(axis=1, keepdims=True)
    first = means[0] @ weights
    used = first > 0.0
    shared = np.minimum(first[used], means @ weights[:, used]).sum(axis=1)
    sums = means @ weights.sum(axis=1)
    distances: Float64 = 1.0 - shared / (sums[0] + sums - shared)
    return distances
