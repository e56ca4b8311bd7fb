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
    """A scored image: higher scores are nearer."""

    product: str
    parent: str
    sha256: str
    score: float


@dataclass(frozen=True, slots=True)
class RankedGroup:
    """One search result: hits best first; the group is as good as its best hit."""

    key: str
    hits: tuple[Hit, ...]

    @property
    def best(self) -> Hit:
        return self.hits[0]


def group_hits(hits: Sequence[Hit], by: GroupBy) -> list[RankedGroup]:
    """Groups of `hits`, best group first. Ties break by product and image id, so pages are stable.

    A product without a parent is a group of its own in both modes.
    """
    ordered = sorted(hits, key=lambda hit: (-hit.score, hit.product, hit.sha256))
    groups: dict[str, list[Hit]] = {}
    for hit in ordered:
        grouped = by is GroupBy.PARENT and hit.parent
        groups.setdefault(f"parent/{hit.parent}" if grouped else hit.product, []).append(hit)
    return [RankedGroup(key, tuple(members)) for key, members in groups.items()]
