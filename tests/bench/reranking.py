"""k-reciprocal re-ranking: beside the plain algorithm of the paper, and within one search."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from services.core.domain.stages import Reranking
from services.core.ports import Float32
from services.retrieval.linear import Float64
from services.retrieval.reciprocal import rerank
from services.retrieval.reciprocal_joint import rerank_joint
from tests.bench.figures import Figure, Outcome, Target, at_least, at_most
from tests.bench.quantiles import median, quantile, timed
from tests.clustered_vectors import clustered
from tests.plain_reciprocal import plain_distances, plain_encoding, plain_jaccard, plain_rerank

_DIMENSION = 512
_QUERIES, _GALLERY = 3_000, 3_000
_ROUNDS = 5
_SEARCHES, _WARM_UP = 300, 20
_S = 1e-3


def rerank_offline(data: Path | None) -> Iterator[Outcome]:
    """The joint form at 3,000 x 3,000, ten images of a product. The plain algorithm runs once, the
    fast form before and after it. `data` is not used."""
    reranking = Reranking()
    vectors = clustered(_QUERIES + _GALLERY, 600, _DIMENSION, seed=17)
    queries, gallery = vectors[:_QUERIES], vectors[_QUERIES:]
    runs = [timed(rerank_joint, queries, gallery, reranking, "cosine") for _ in range(_ROUNDS)]
    first, encoded = timed(_encode, vectors, reranking)
    original, plain = encoded
    second, jaccard = timed(plain_jaccard, plain[:_QUERIES], plain[_QUERIES:])
    runs += [timed(rerank_joint, queries, gallery, reranking, "cosine") for _ in range(_ROUNDS)]
    fast, found = median([took for took, _ in runs]), runs[0][1]
    expected = reranking.weight * original[:_QUERIES, _QUERIES:] + (1 - reranking.weight) * jaccard
    difference = float(np.abs(found - expected).max())
    name = "joint re-ranking at 3,000 x 3,000"
    yield Figure(
        f"{name}, the plain algorithm over it", (first + second) / fast, "times", at_least(10)
    )
    yield Figure(f"{name}, largest difference x 1e5", 1e5 * difference, "", at_most(1))
    yield Figure(f"{name}, p50", fast * _S, "s")
    yield Figure(f"{name}, plain algorithm without Jaccard distances", first * _S, "s")
    yield Figure(f"{name}, plain algorithm, Jaccard distances", second * _S, "s")


def _encode(vectors: Float32, reranking: Reranking) -> tuple[Float64, Float64]:
    original, raw = plain_distances(vectors, "cosine")
    return original, plain_encoding(original, raw, reranking)


def rerank_online(data: Path | None) -> Iterator[Outcome]:
    """A query's own best candidates, another query each time. `data` is not used."""
    vectors = clustered(20_000, 2_000, _DIMENSION, seed=18)
    queries, gallery = vectors[: _SEARCHES + _WARM_UP], vectors[_SEARCHES + _WARM_UP :]
    yield from _searches(queries, gallery, 200, at_most(10))
    yield from _searches(queries[:60], gallery, 1_000, None)


def _searches(
    queries: Float32, gallery: Float32, top: int, target: Target | None
) -> Iterator[Figure]:
    reranking = Reranking(candidates=top)
    took, differences = [], []
    for query in queries:
        candidates = gallery[np.argpartition(-(gallery @ query), top)[:top]]
        milliseconds, found = timed(rerank, query, candidates, reranking, "cosine")
        took.append(milliseconds)
        if len(took) % 50 == 0:
            plain = plain_rerank(query, candidates, reranking, "cosine")
            differences.append(float(np.abs(found - plain).max()))
    yield Figure(f"re-ranking the top {top}, p50", median(took[_WARM_UP:]), "ms", target)
    yield Figure(f"re-ranking the top {top}, p95", quantile(took[_WARM_UP:], 0.95), "ms")
    difference = 1e5 * max(differences)
    yield Figure(f"re-ranking the top {top}, largest difference x 1e5", difference, "", at_most(1))
