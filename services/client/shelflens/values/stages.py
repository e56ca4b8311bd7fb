"""What happens between the nearest images and the answer of a search."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expand:
    """Query expansion: the query becomes a mean of itself and its best `neighbours` hits.

    `method` is alpha (weights are similarities to the power of `alpha`) or average.
    """

    neighbours: int = 5
    method: str = "alpha"
    alpha: float = 3.0


@dataclass(frozen=True, slots=True)
class Rerank:
    """k-reciprocal re-ranking of the nearest `candidates` images; `weight` is that of the original
    distance."""

    candidates: int = 200
    k1: int = 8
    k2: int = 5
    weight: float = 0.5


@dataclass(frozen=True, slots=True)
class Fold:
    """Results whose best images are near-duplicates, by cosine similarity, become one."""

    similarity: float = 0.99


@dataclass(frozen=True, slots=True)
class Diversify:
    """The first `results` results are re-ordered so that they differ: `relevance` 1 keeps them."""

    relevance: float = 0.7
    results: int = 50


@dataclass(frozen=True, slots=True)
class RankingStages:
    """The stages of a ranking, in this order; None: not at all."""

    expand: Expand | None = None
    rerank: Rerank | None = None
    fold: Fold | None = None
    diversify: Diversify | None = None

    def __bool__(self) -> bool:
        return any((self.expand, self.rerank, self.fold, self.diversify))
