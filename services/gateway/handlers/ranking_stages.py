"""The stages of a ranking over hits and groups; what they compute is in services.retrieval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.core.domain.ranking import Hit, RankedGroup
from services.core.domain.stages import Diversity, Expansion, Folding, Reranking
from services.core.ports import Float32
from services.retrieval import diversity as maximal_marginal_relevance
from services.retrieval import expansion, folding, reciprocal


@dataclass(frozen=True, slots=True)
class Nearest:
    """Live hits, nearest first, with their vectors by (product, sha256) where they were asked for.

    `exhausted`: the collection had no further images.
    """

    hits: Sequence[Hit]
    vectors: Mapping[tuple[str, str], Float32]
    exhausted: bool

    def matrix(self, hits: Sequence[Hit]) -> Float32:
        """Their vectors, float32 [n, dimension]."""
        return np.stack([self.vectors[hit.product, hit.sha256] for hit in hits])


def expanded(query: Float32, nearest: Nearest, wanted: Expansion, distance: str) -> Float32:
    """The query, float32 [dimension], moved towards its nearest hits."""
    hits = nearest.hits[: wanted.neighbours]
    if not hits:
        return query
    scores = np.array([hit.score for hit in hits], np.float32)
    return expansion.expand(query, nearest.matrix(hits), scores, wanted, distance)


def reranked(query: Float32, nearest: Nearest, wanted: Reranking, distance: str) -> Nearest:
    """The same hits, of which the first `wanted.candidates` have their re-ranked values."""
    first, rest = nearest.hits[: wanted.candidates], nearest.hits[wanted.candidates :]
    if not first:
        return nearest
    values = reciprocal.rerank(query, nearest.matrix(first), wanted, distance)
    pairs = zip(first, values.tolist(), strict=True)
    hits = [*(replace(hit, reranked=value) for hit, value in pairs), *rest]
    return replace(nearest, hits=hits)


def folded(
    groups: Sequence[RankedGroup], nearest: Nearest, wanted: Folding
) -> Sequence[RankedGroup]:
    """The groups less those whose best image is a near-duplicate of that of a better one."""
    if not groups:
        return groups
    vectors = nearest.matrix([group.best for group in groups])
    into = folding.fold(vectors, wanted.similarity)
    products: dict[int, dict[str, None]] = {}
    for number, kept in enumerate(into):
        if kept != number:
            products.setdefault(kept, {})[groups[number].best.product] = None
    return [
        replace(group, folded=tuple(products.get(number, ())))
        for number, group in enumerate(groups)
        if into[number] == number
    ]


def diversified(
    groups: Sequence[RankedGroup], nearest: Nearest, wanted: Diversity
) -> Sequence[RankedGroup]:
    """The same groups, the first `wanted.results` of them in an order of more variety.

    `nearest` has the re-ranked values of all hits.
    """
    first, rest = groups[: wanted.results], groups[wanted.results :]
    if len(first) < 2:
        return groups
    vectors = nearest.matrix([group.best for group in first])
    relevance = _relevance(first, nearest.hits)
    order = maximal_marginal_relevance.diversify(relevance, vectors, wanted)
    return [*(first[number] for number in order), *rest]


def _relevance(groups: Sequence[RankedGroup], hits: Sequence[Hit]) -> Float32:
    """Float32 [n], never rising. Scores and re-ranked values are of two scales: groups behind the
    re-ranked ones count as the last image of these."""
    values = [hit.reranked for hit in hits if hit.reranked is not None]
    if not values:
        return np.array([group.best.score for group in groups], np.float32)
    last = min(values)
    best = (group.best.reranked for group in groups)
    return np.array([last if value is None else value for value in best], np.float32)
