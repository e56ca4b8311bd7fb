"""From a vector to ranked groups of products that are not deleted."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.core.deployment_ports import Deployment
from services.core.domain.catalog import Product
from services.core.domain.filters import SearchFilter
from services.core.domain.ranking import GroupBy, Hit, RankedGroup, group_hits
from services.core.ports import Float32, ScoredPoint, VectorStore
from services.core.record_ports import Records, RecordStore
from services.gateway.handlers.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is ranked: the best `top_k` groups, of which [offset, offset + count) are read."""

    top_k: int
    offset: int
    count: int
    group_by: GroupBy
    where: SearchFilter | None
    score_threshold: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """A group with the product of its best hit."""

    product: Product
    group: RankedGroup


@dataclass(frozen=True, slots=True)
class Ranked:
    """One page of `total` groups. `truncated`: the most candidates were too few for top_k.

    `exhausted`: the collection had no further images.
    """

    page: tuple[Found, ...]
    total: int
    truncated: bool
    exhausted: bool


class Candidates:
    """Asks the vector store for more and more images until they make enough groups."""

    def __init__(self, vectors: VectorStore, records: RecordStore, most: int) -> None:
        self._vectors = vectors
        self._records = records
        self._most = most

    def rank(
        self, deployment: Deployment, vector: Float32, wanted: Wanted, stopwatch: Stopwatch
    ) -> Ranked:
        """Blocks. Raises DeadlineExceeded, Unavailable."""
        limit = min(self._most, _first_limit(wanted))
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
                groups = group_hits(_live(tx, deployment.catalog, points), wanted.group_by)
                enough = len(groups) >= wanted.top_k
                if enough or exhausted or limit >= self._most:
                    groups = groups[: wanted.top_k]
                    page = groups[wanted.offset : wanted.offset + wanted.count]
                    found = _with_products(tx, deployment.catalog, page)
                    truncated = not (enough or exhausted)
                    return Ranked(found, len(groups), truncated, exhausted)
            limit = min(self._most, limit * 4)


def _first_limit(wanted: Wanted) -> int:
    # Products have a few images each, parents many more.
    return max(wanted.top_k * (2 if wanted.group_by is GroupBy.PRODUCT else 6), 20)


def _live(tx: Records, catalog: str, points: Sequence[ScoredPoint]) -> list[Hit]:
    hits = [
        Hit(
            str(point.payload["product"]),
            str(point.payload.get("parent", "")),
            str(point.payload["sha256"]),
            point.score,
        )
        for point in points
    ]
    live = tx.products.live(catalog, [(hit.product, hit.sha256) for hit in hits])
    return [hit for hit in hits if (hit.product, hit.sha256) in live]


def _with_products(tx: Records, catalog: str, page: Sequence[RankedGroup]) -> tuple[Found, ...]:
    products = tx.products.get_many(catalog, [group.best.product for group in page])
    return tuple(
        Found(products[group.best.product], group)
        for group in page
        if group.best.product in products
    )
