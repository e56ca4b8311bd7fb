"""Ranking stages of a search: what happens between the nearest images and the answer.

The order is fixed: expand, rerank, fold, diversify. `Stages.key` names a combination: calibrations
and evaluations belong to one.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from services.core.domain.errors import InvalidArgument

EXPANSIONS = ("average", "alpha")
_MOST_NEIGHBOURS = 100
_MOST_CANDIDATES = 1_000


def _check(right: bool, field: str, wrong: str) -> None:
    if not right:
        raise InvalidArgument.field(field, wrong, reason="STAGE_INVALID")


def _number(value: float, least: float, most: float, field: str) -> None:
    right = not isinstance(value, bool) and math.isfinite(value) and least <= value <= most
    _check(right, field, f"{value!r} is not from {least:g} to {most:g}")


def _whole(value: int, least: int, most: int, field: str) -> None:
    right = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    _check(right, field, f"{value!r} is not a whole number from {least} to {most}")


@dataclass(frozen=True, slots=True)
class Expansion:
    """Query expansion (Chum 2007): the query becomes a mean of itself and its best `neighbours`.

    `method` "average" gives all the same weight, "alpha" a neighbour its cosine similarity to the
    power of `alpha` (Radenovic 2018). Raises InvalidArgument (STAGE_INVALID).
    """

    neighbours: int = 5
    method: str = "alpha"
    alpha: float = 3.0

    def __post_init__(self) -> None:
        _whole(self.neighbours, 1, _MOST_NEIGHBOURS, "stages.expand.neighbours")
        known = self.method in EXPANSIONS
        _check(known, "stages.expand.method", f"'{self.method}' is none of {', '.join(EXPANSIONS)}")
        _number(self.alpha, 0.0, 10.0, "stages.expand.alpha")


@dataclass(frozen=True, slots=True)
class Reranking:
    """k-reciprocal re-ranking (Zhong 2017) of a query's own best `candidates`, as Han 2022 set it.

    `weight` is that of the original distance: 1 changes nothing, 0 leaves the Jaccard distance
    alone. Raises InvalidArgument (STAGE_INVALID).
    """

    candidates: int = 200
    k1: int = 8
    k2: int = 5
    weight: float = 0.5

    def __post_init__(self) -> None:
        _whole(self.candidates, 2, _MOST_CANDIDATES, "stages.rerank.candidates")
        _whole(self.k1, 1, self.candidates, "stages.rerank.k1")
        _whole(self.k2, 1, self.k1, "stages.rerank.k2")
        _number(self.weight, 0.0, 1.0, "stages.rerank.weight")


@dataclass(frozen=True, slots=True)
class Folding:
    """Results whose best images are near-duplicates (cosine similarity of at least `similarity`)
    become one: the best stays and names the others. Raises InvalidArgument (STAGE_INVALID)."""

    similarity: float = 0.99

    def __post_init__(self) -> None:
        _number(self.similarity, 0.5, 1.0, "stages.fold.similarity")


@dataclass(frozen=True, slots=True)
class Diversity:
    """Maximal marginal relevance (Carbonell 1998) over the first `results` results.

    `relevance` in [0, 1]: 1 keeps the ranking, 0 only avoids what is alike. Raises InvalidArgument
    (STAGE_INVALID).
    """

    relevance: float = 0.7
    results: int = 50

    def __post_init__(self) -> None:
        _number(self.relevance, 0.0, 1.0, "stages.diversify.relevance")
        _whole(self.results, 2, _MOST_CANDIDATES, "stages.diversify.results")


@dataclass(frozen=True, slots=True)
class Stages:
    """Which stages a search goes through, in the order of the fields."""

    expand: Expansion | None = None
    rerank: Reranking | None = None
    fold: Folding | None = None
    diversify: Diversity | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are switched on, in their order."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is not None)

    @property
    def key(self) -> str:
        """Canonical JSON: equal exactly for equal stages, "{}" without any."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    def without(self, *names: str) -> "Stages":
        """These stages less those of the given names."""
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        return Stages(**{name: None if name in names else kept[name] for name in kept})

    def to_dict(self) -> dict[str, Any]:
        return {name: asdict(getattr(self, name)) for name in self.names}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises InvalidArgument (STAGE_INVALID), also for an unknown stage or parameter."""
        kinds = {
            "expand": Expansion, "rerank": Reranking, "fold": Folding, "diversify": Diversity,
        }  # fmt: skip
        made: dict[str, Any] = {}
        for name, parameters in data.items():
            _check(name in kinds, "stages", f"'{name}' is none of {', '.join(kinds)}")
            try:
                made[name] = kinds[name](**parameters)
            except TypeError as error:
                raise InvalidArgument.field(
                    f"stages.{name}", f"{error}", reason="STAGE_INVALID"
                ) from error
        return cls(**made)
