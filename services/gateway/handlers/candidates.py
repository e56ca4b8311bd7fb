"""From a vector to ranked groups of products that are not deleted."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.core.deployment_ports import Deployment
from services.core.domain.catalog import Product
from services.core.domain.filters import SearchFilter
from services.core.domain.ranking import GroupBy, Hit, RankedGroup, group_hits
from services.core.domain.stages import Stages
from services.core.ports import Float32, ScoredPoint, VectorStore
from services.core.record_ports import Records, RecordStore
from services.gateway.handlers.budgets import Course


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is ranked: the best `top_k` groups, of which [offset, offset + count) are read.

    The ranking depends on neither of the latter. `latency_budget` in milliseconds, 0 for none;
    `settled` as in Course. `explain` of the groups that are read get a picture.
    """

    top_k: int
    offset: int
    count: int
    group_by: GroupBy
    where: SearchFilter | None
    score_threshold: float | None
    stages: Stages = field(default_factory=Stages)
    latency_budget: int = 0
    settled: tuple[str, ...] | None = None
    explain: int = 0

    def groups(self, deployment: Deployment) -> int:
        """How many groups to look for: a margin to the second one is needed where scores are
        calibrated, and enough to choose from where results are diversified."""
        chosen = self.stages.diversify.results if self.stages.diversify else 0
        return max(self.top_k, 2 if deployment.calibration_version else 1, chosen)

    def first_limit(self, groups: int) -> int:
        """How many images to ask for at first."""
        # Products have a few images each, parents many more.
        return max(groups * (2 if self.group_by is GroupBy.PRODUCT else 6), 20)


@dataclass(frozen=True, slots=True)
class Found:
    """A group with the product of its best hit."""

    product: Product
    group: RankedGroup


@dataclass(frozen=True, slots=True)
class Ranked:
    """One page of `total` groups. `truncated`: the most candidates were too few for top_k.

    `exhausted`: the collection had no further images. `scores` are those of the first two groups,
    as far as there are any; the second may lie beyond top_k.
    """

    page: tuple[Found, ...]
    total: int
    truncated: bool
    exhausted: bool
    scores: tuple[float, ...] = ()


class Candidates:
    """Asks the vector store for more and more images until they make enough groups."""

    def __init__(self, vectors: VectorStore, records: RecordStore, most: int) -> None:
        self._vectors = vectors
        self._records = records
        self._most = most

    def rank(
        self, deployment: Deployment, vector: Float32, wanted: Wanted, course: Course
    ) -> Ranked:
        """Without any stages. Blocks. Raises DeadlineExceeded, Unavailable."""
        needed = wanted.groups(deployment)
        limit = min(self._most, wanted.first_limit(needed))
        stopwatch = course.stopwatch
        while True:
            with stopwatch.stage("search"):
                points = self._vectors.search(
                    deployment.collection,
                    vector,
                    limit=limit,
                    where=wanted.where,
                    catalog=deployment.tenant or None,
                    score_threshold=wanted.score_threshold,
                    timeout=stopwatch.remaining(),
                )
            exhausted = len(points) < limit
            with stopwatch.stage("records"), self._records.begin(snapshot=False) as tx:
                groups = group_hits(live(tx, deployment.catalog, points), wanted.group_by)
                if len(groups) >= needed or exhausted or limit >= self._most:
                    return read_page(tx, deployment.catalog, groups, wanted, exhausted)
            limit = min(self._most, limit * 4)


def live(tx: Records, catalog: str, points: Sequence[ScoredPoint]) -> list[Hit]:
    """The hits among `points` that are not deleted, in their order."""
    hits = [
        Hit(
            str(point.payload["product"]),
            str(point.payload.get("parent", "")),
            str(point.payload["sha256"]),
            point.score,
        )
        for point in points
    ]
    there = tx.products.live(catalog, [(hit.product, hit.sha256) for hit in hits])
    return [hit for hit in hits if (hit.product, hit.sha256) in there]


def read_page(
    tx: Records, catalog: str, groups: Sequence[RankedGroup], wanted: Wanted, exhausted: bool
) -> Ranked:
    """What is wanted of all groups that were found."""
    best = groups[: wanted.top_k]
    page = best[wanted.offset : wanted.offset + wanted.count]
    products = tx.products.get_many(catalog, [group.best.product for group in page])
    found = tuple(
        Found(products[group.best.product], group)
        for group in page
        if group.best.product in products
    )
    truncated = not (len(best) >= wanted.top_k or exhausted)
    scores = tuple(group.best.score for group in groups[:2])
    return Ranked(found, len(best), truncated, exhausted, scores)
