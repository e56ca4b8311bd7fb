"""Rankings that go through stages: expand, search, re-rank, group, fold, diversify."""

from collections.abc import Sequence

from services.core.deployment_ports import Deployment
from services.core.domain.ranking import RankedGroup, group_hits
from services.core.domain.stages import Expansion
from services.core.ports import Float32, ScoredPoint, VectorStore
from services.core.record_ports import RecordStore
from services.gateway.handlers import ranking_stages
from services.gateway.handlers.budgets import Course
from services.gateway.handlers.candidates import Candidates, Ranked, Wanted, live, read_page
from services.gateway.handlers.ranking_stages import Nearest

_SPARE = 20  # hits beyond an expansion's neighbours, since deleted ones do not count


class StagedCandidates:
    """Ranks with the stages of a course; without any it is Candidates, and costs no more."""

    def __init__(self, vectors: VectorStore, records: RecordStore, most: int) -> None:
        self._vectors = vectors
        self._records = records
        self._most = most
        self._plain = Candidates(vectors, records, most)

    def rank(
        self, deployment: Deployment, vector: Float32, wanted: Wanted, course: Course
    ) -> Ranked:
        """Blocks. Raises DeadlineExceeded, Unavailable."""
        if not course.stages.names:
            return self._plain.rank(deployment, vector, wanted, course)
        if course.stages.expand and course.fits("expand", 1):
            with course.taking("expand", 1):
                vector = self._expanded(deployment, vector, wanted, course.stages.expand, course)
        groups, nearest = self._grouped(deployment, vector, wanted, course)
        if (diversify := course.stages.diversify) and course.fits("diversify", len(groups)):
            with course.taking("diversify", len(groups)):
                groups = ranking_stages.diversified(groups, nearest, diversify)
        with course.stopwatch.stage("records"), self._records.begin(snapshot=False) as tx:
            return read_page(tx, deployment.catalog, groups, wanted, nearest.exhausted)

    def _expanded(
        self,
        deployment: Deployment,
        vector: Float32,
        wanted: Wanted,
        expand: Expansion,
        course: Course,
    ) -> Float32:
        limit = min(self._most, expand.neighbours + _SPARE)
        points = self._search(deployment, vector, wanted, limit, True, course)
        nearest = self._live(deployment, points, limit)
        return ranking_stages.expanded(vector, nearest, expand, deployment.distance)

    def _grouped(
        self, deployment: Deployment, vector: Float32, wanted: Wanted, course: Course
    ) -> tuple[Sequence[RankedGroup], Nearest]:
        """Groups, re-ranked and folded: enough of them where the collection has so many."""
        needed = wanted.groups(deployment)
        images = course.stages.rerank.candidates if course.stages.rerank else 0
        limit = min(self._most, max(wanted.first_limit(needed), images))
        while True:
            # Vectors are a large part of a search's time: none for stages that will not fit.
            units = {"rerank": images, "fold": needed, "diversify": needed}
            with_vectors = any(course.fits(stage, count) for stage, count in units.items())
            with course.stopwatch.stage("search"):
                points = self._search(deployment, vector, wanted, limit, with_vectors, course)
            with course.stopwatch.stage("records"):
                nearest = self._live(deployment, points, limit)
            last = nearest.exhausted or limit >= self._most
            if last or len({hit.group_key(wanted.group_by) for hit in nearest.hits}) >= needed:
                groups, nearest = _staged(deployment, vector, nearest, wanted, course)
                if last or len(groups) >= needed:
                    return groups, nearest
            limit = min(self._most, limit * 4)

    def _search(
        self,
        deployment: Deployment,
        vector: Float32,
        wanted: Wanted,
        limit: int,
        with_vectors: bool,
        course: Course,
    ) -> Sequence[ScoredPoint]:
        return self._vectors.search(
            deployment.collection,
            vector,
            limit=limit,
            where=wanted.where,
            catalog=deployment.tenant or None,
            score_threshold=wanted.score_threshold,
            timeout=course.stopwatch.remaining(),
            with_vectors=with_vectors,
        )

    def _live(self, deployment: Deployment, points: Sequence[ScoredPoint], limit: int) -> Nearest:
        with self._records.begin(snapshot=False) as tx:
            hits = live(tx, deployment.catalog, points)
        hits.sort(key=lambda hit: (-hit.score, hit.product, hit.sha256))
        vectors = {
            (str(point.payload["product"]), str(point.payload["sha256"])): point.vector
            for point in points
            if point.vector is not None
        }
        return Nearest(hits, vectors, len(points) < limit)


def _staged(
    deployment: Deployment, vector: Float32, nearest: Nearest, wanted: Wanted, course: Course
) -> tuple[Sequence[RankedGroup], Nearest]:
    if rerank := course.stages.rerank:
        images = min(len(nearest.hits), rerank.candidates)
        if course.fits("rerank", images):
            with course.taking("rerank", images):
                nearest = ranking_stages.reranked(vector, nearest, rerank, deployment.distance)
    groups: Sequence[RankedGroup] = group_hits(nearest.hits, wanted.group_by)
    if (fold := course.stages.fold) and course.fits("fold", len(groups)):
        with course.taking("fold", len(groups)):
            groups = ranking_stages.folded(groups, nearest, fold)
    return groups, nearest
