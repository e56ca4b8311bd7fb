"""Comparing searches: how results change by a deployment that is about to become live."""

import asyncio
from dataclasses import dataclass, replace

import structlog

from services.core.deployment_ports import Deployment, DeploymentState
from services.core.domain.errors import ShelflensError
from services.core.ports import Embedder, Float32
from services.core.record_ports import RecordStore
from services.gateway.handlers.budgets import Course, StageCosts
from services.gateway.handlers.candidates import Ranked, Wanted
from services.gateway.handlers.queries import Photo, fused
from services.gateway.handlers.staged_candidates import StagedCandidates
from services.gateway.handlers.stopwatch import Stopwatch
from services.gateway.handlers.threads import Threads, within
from services.gateway.settings import GatewayLimits

FIRST = 10  # products of each ranking that are compared
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Searched:
    """A photo that was answered: by whom, its embedding there, and what was wanted."""

    live: Deployment
    photo: Photo
    embedding: Float32
    wanted: Wanted


class Comparisons:
    """Runs searches that were answered on the deployment to come as well, beside new ones.

    A few at a time; others are let go. None delays an answer or fails it.
    """

    def __init__(
        self,
        records: RecordStore,
        embedder: Embedder,
        candidates: StagedCandidates,
        limits: GatewayLimits,
    ) -> None:
        self._records = records
        self._embedder = embedder
        self._candidates = candidates
        self._limits = limits
        # Of its own: comparing must not hold the threads of searches.
        self._threads = Threads(limits.compared_at_once, "gateway-compare")
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, searched: Searched) -> None:
        """Returns at once. Further pages of a search are no searches of their own."""
        if searched.wanted.offset or len(self._running) >= self._limits.compared_at_once:
            return
        task = asyncio.create_task(self._run(searched))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Ends what runs."""
        for each in self._running:
            each.cancel()
        await self._threads.close()

    async def _run(self, searched: Searched) -> None:
        try:
            await within(self._limits.compared_within, self._compare(searched))
        except ShelflensError as error:
            _log.info("comparison.failed", reason=error.reason, error=error.message)
        except Exception:  # nobody else would see it
            _log.exception("comparison.failed", reason="INTERNAL")

    async def _compare(self, searched: Searched) -> None:
        stopwatch = Stopwatch(self._limits.compared_within)
        new = await self._threads.call(self._other, searched.live)
        if new.state is not DeploymentState.BUILDING:
            return
        made = await searched.photo.embed(self._embedder, new.model_digest, stopwatch.remaining())
        embedding = fused(made, new.distance).embedding
        await self._threads.call(self._note, searched, new, embedding, stopwatch)

    def _other(self, live: Deployment) -> Deployment:
        with self._records.begin(snapshot=False) as tx:
            return tx.deployments.get(live.catalog, live.comparing)

    def _note(
        self, searched: Searched, new: Deployment, embedding: Float32, stopwatch: Stopwatch
    ) -> None:
        # Thresholds belong to one model; both rankings are made anew, so that they are alike.
        wanted = replace(searched.wanted, top_k=FIRST, offset=0, count=FIRST, score_threshold=None)
        course = Course(wanted.stages, stopwatch, StageCosts())  # without a latency budget
        before = self._candidates.rank(searched.live, searched.embedding, wanted, course)
        after = self._candidates.rank(new, embedding, wanted, course)
        same, overlap = compared(before, after)
        with self._records.begin(write=True) as tx:
            tx.deployments.note_comparison(new.catalog, new.number, 1, int(same), overlap)


def compared(before: Ranked, after: Ranked) -> tuple[bool, float]:
    """Whether both have the same first result, and the share, from 0 to 1, of results that both
    have. Two empty rankings are the same."""
    old, new = ([each.group.key for each in ranked.page] for ranked in (before, after))
    longest = max(len(old), len(new))
    overlap = len(set(old) & set(new)) / longest if longest else 1.0
    return old[:1] == new[:1], overlap
