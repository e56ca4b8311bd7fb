"""k-reciprocal re-ranking as Zhong et al. (2017) write it down: sets, loops and whole vectors.

What the fast forms are held against. Slow: every Jaccard distance goes over all n nodes.
"""

import numpy as np

from services.core.domain.stages import Reranking
from services.core.ports import Float32
from services.retrieval.linear import Float64


def plain_joint(queries: Float32, gallery: Float32, reranking: Reranking, distance: str) -> Float64:
    """Final distances [q, g] of the graph over all queries and the whole gallery."""
    original, raw = plain_distances(np.concatenate([queries, gallery]), distance)
    encoded = plain_encoding(original, raw, reranking)
    first = len(queries)
    jaccard = plain_jaccard(encoded[:first], encoded[first:])
    return reranking.weight * original[:first, first:] + (1 - reranking.weight) * jaccard


def plain_rerank(
    query: Float32, candidates: Float32, reranking: Reranking, distance: str
) -> Float64:
    """1 - the final distances [n] of the graph over a query and its candidates."""
    final: Float64 = plain_joint(query[None], candidates, reranking, distance)[0]
    return 1 - final


def plain_distances(vectors: Float32, distance: str) -> tuple[Float64, Float64]:
    """Original distances [n, n], each row over its largest, and the same before that."""
    wide = vectors.astype(np.float64)
    if distance == "manhattan":
        raw = np.array([np.abs(wide - each).sum(axis=1) for each in wide])
    else:
        if distance == "cosine":
            wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-300)
        squares = (wide**2).sum(axis=1)
        raw = np.maximum(squares[:, None] + squares - 2 * wide @ wide.T, 0)
    original = raw / np.maximum(raw.max(axis=1, keepdims=True), 1e-300)
    return (np.sqrt(original) if distance == "euclidean" else original), raw


def plain_encoding(original: Float64, raw: Float64, reranking: Reranking) -> Float64:
    """The vector [n] of each node, after local query expansion (equations 1 to 7 and 11)."""
    everyone = range(len(raw))
    ordered = np.sort(raw, axis=1)

    def nearest(node: int, rank: int) -> set[int]:
        """The node of this rank, itself counted as 0, and all that are no farther."""
        limit = ordered[node, min(rank, len(raw) - 1)] + 1e-12 * ordered[node, -1]
        return set(np.flatnonzero(raw[node] <= limit).tolist())

    def reciprocal(rank: int) -> list[set[int]]:
        near = [nearest(node, rank) for node in everyone]
        return [{other for other in near[node] if node in near[other]} for node in everyone]

    wide, narrow = reciprocal(reranking.k1), reciprocal(round(reranking.k1 / 2))
    weights = np.zeros_like(raw)
    for node in everyone:
        members = set(wide[node])
        for other in wide[node]:
            if 3 * len(wide[node] & narrow[other]) >= 2 * len(narrow[other]):
                members |= narrow[other]
        for other in members:
            weights[node, other] = np.exp(-original[node, other])
    return np.array(
        [weights[sorted(nearest(node, reranking.k2 - 1))].mean(axis=0) for node in everyone]
    )


def plain_jaccard(queries: Float64, gallery: Float64) -> Float64:
    """Jaccard distances [q, g] (equation 10)."""
    found = np.empty((len(queries), len(gallery)))
    for q, asked in enumerate(queries):
        for g, stored in enumerate(gallery):
            found[q, g] = 1 - np.minimum(asked, stored).sum() / np.maximum(asked, stored).sum()
    return found
