"""From scored images to ranked products."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class GroupBy(StrEnum):
    """What one search result stands for."""

    PRODUCT = "product"
    PARENT = "parent"


@dataclass(frozen=True, slots=True)
class Hit:
    """A scored image: higher scores are nearer. `reranked` is what re-ranking made of the score,
    None where it did not look at the image."""

    product: str
    parent: str
    sha256: str
    score: float
    reranked: float | None = None

    def group_key(self, by: GroupBy) -> str:
        """Equal for hits of one group. A product without a parent is a group of its own in both
        modes."""
        return f"parent/{self.parent}" if by is GroupBy.PARENT and self.parent else self.product


@dataclass(frozen=True, slots=True)
class RankedGroup:
    """One search result: hits best first; the group is as good as its best hit. `folded` are the
    products of groups that were folded into this one, best first."""

    key: str
    hits: tuple[Hit, ...]
    folded: tuple[str, ...] = ()

    @property
    def best(self) -> Hit:
        return self.hits[0]


def group_hits(hits: Sequence[Hit], by: GroupBy) -> list[RankedGroup]:
    """Groups of `hits`, best group first. Ties break by product and image id, so pages are stable.

    Hits that were re-ranked come before all others.
    """
    groups: dict[str, list[Hit]] = {}
    for hit in sorted(hits, key=_order):
        groups.setdefault(hit.group_key(by), []).append(hit)
    return [RankedGroup(key, tuple(members)) for key, members in groups.items()]


def _order(hit: Hit) -> tuple[bool, float, str, str]:
    value = hit.score if hit.reranked is None else hit.reranked
    return hit.reranked is None, -value, hit.product, hit.sha256
