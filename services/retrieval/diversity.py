"""Results that differ: maximal marginal relevance.

Carbonell and Goldstein (1998), "The use of MMR, diversity-based reranking": the next result is the
one with the most of `relevance * its relevance - (1 - relevance) * its likeness to those before`.
"""

import numpy as np

from services.core.domain.stages import Diversity
from services.core.ports import Float32
from services.retrieval.linear import Float64
from services.retrieval.pairwise import check_vectors, unit

# Values that differ by less are equal: then the earlier result comes first.
_ROUNDING = 1e-9


def diversify(relevance: Float32, vectors: Float32, diversity: Diversity) -> list[int]:
    """The new order of all n results: their positions in the order of the answer.

    The first `diversity.results` are put in order, those behind them stay where they are. Scores,
    re-ranked values and cosine similarities lie in different ranges, and those of near results
    close together: the relevance of the results and the similarities between them are each
    stretched to [0, 1] before they are weighed against each other.

    Args:
        relevance: [n], higher is better, best first.
        vectors: [n, d], of the best image of each result; of any length.
        diversity: `relevance` 1 keeps a ranking by relevance.

    Raises ValueError for arrays that do not fit.
    """
    check_vectors("vectors", vectors)
    if relevance.shape != (len(vectors),):
        raise ValueError(f"relevance {relevance.shape} is not ({len(vectors)},)")
    count = min(diversity.results, len(vectors))
    wanted = diversity.relevance * _stretched(relevance[:count].astype(np.float64))
    alike = (1.0 - diversity.relevance) * _likeness(vectors[:count])
    nearest = np.full(count, -np.inf)
    left = np.ones(count, bool)
    order: list[int] = []
    for _ in range(count):
        values = np.where(left, wanted - (nearest if order else 0.0), -np.inf)
        chosen = int(np.argmax(values >= values.max() - _ROUNDING))
        order.append(chosen)
        left[chosen] = False
        nearest = np.maximum(nearest, alike[chosen])
    return [*order, *range(count, len(vectors))]


def _likeness(vectors: Float32) -> Float64:
    """Cosine similarities float64 [n, n], the least and the most between two results 0 and 1."""
    units = unit(vectors)
    similarities = units @ units.T
    above = np.triu_indices(len(vectors), 1)
    similarities[above] = _stretched(similarities[above])
    upper = np.triu(similarities, 1)
    symmetric: Float64 = upper + upper.T
    return symmetric


def _stretched(values: Float64) -> Float64:
    """The least 0 and the most 1; all 0 where they are equal."""
    if not len(values) or np.ptp(values) < _ROUNDING:
        return np.zeros_like(values)
    stretched: Float64 = (values - values.min()) / np.ptp(values)
    return stretched
