"""The use case of searching: query, vector, candidates, page."""

import asyncio
import hashlib
from dataclasses import dataclass

from services.core.deployment_ports import Deployment
from services.core.domain.errors import FailedPrecondition, NotFound
from services.core.domain.external_model import is_external, no_embedder
from services.core.domain.stages import Stages
from services.core.ports import Embedder, Float32, ObjectStore, QueryEmbedding, VectorStore
from services.core.record_ports import Records, RecordStore
from services.gateway.handlers.budgets import Course, StageCosts
from services.gateway.handlers.candidates import Ranked, Wanted
from services.gateway.handlers.comparing import Comparisons, Searched
from services.gateway.handlers.explaining import Explaining
from services.gateway.handlers.queries import Photo, Query, StoredImage, Vector, fused
from services.gateway.handlers.staged_candidates import StagedCandidates
from services.gateway.handlers.stopwatch import Stopwatch
from services.gateway.handlers.threads import Threads, within
from services.gateway.handlers.verdicts import Verdict, Verdicts
from services.gateway.settings import GatewayLimits

# What a search may meet whose deployment was removed after it was read.
_MAY_BE_REMOVED = ("MODEL_NOT_LOADED", "IMAGE_NOT_SEARCHABLE")


@dataclass(frozen=True, slots=True)
class Answer:
    """A page of results and what it was made with.

    `stages` are those that ran, `skipped` those that did not fit into the latency budget. `photo`
    is the SHA-256 of what was searched with, empty for an embedding. `explanations` are PNGs for
    the first results of the page. `warnings` are sentences for people. `timings`: milliseconds by
    stage.
    """

    ranked: Ranked
    deployment: Deployment
    stages: Stages
    skipped: tuple[str, ...]
    verdict: Verdict | None
    photo: str
    explanations: tuple[bytes, ...]
    warnings: tuple[str, ...]
    timings: dict[str, float]


class Search:
    """Finds the products of a catalogue that look like a query."""

    def __init__(
        self,
        records: RecordStore,
        vectors: VectorStore,
        embedder: Embedder,
        objects: ObjectStore,
        threads: Threads,
        limits: GatewayLimits,
    ) -> None:
        self._records = records
        self._vectors = vectors
        self._embedder = embedder
        self._threads = threads
        self._limits = limits
        self._last_digests: dict[str, str] = {}  # catalogue -> model of its last search
        self._embed_here: set[str] = set()  # models that were found to run here
        self._costs = StageCosts()
        self._candidates = StagedCandidates(vectors, records, limits.candidates)
        self._verdicts = Verdicts(records, vectors)
        self._explaining = Explaining(embedder, objects, threads)
        self._comparisons = Comparisons(records, embedder, self._candidates, limits)

    async def search(self, catalog: str, query: Query, wanted: Wanted, budget: float) -> Answer:
        """Answers or fails within `budget` seconds.

        Raises NotFound, InvalidArgument, InvalidImage, FailedPrecondition (IMAGE_NOT_SEARCHABLE,
        MODEL_HAS_NO_EMBEDDER, MODEL_NOT_LOADED), DeadlineExceeded, Unavailable.
        """
        return await within(budget, self._search(catalog, query, wanted, Stopwatch(budget)))

    async def close(self) -> None:
        """Ends what runs beside the searches."""
        await self._comparisons.close()

    async def _search(
        self, catalog: str, query: Query, wanted: Wanted, stopwatch: Stopwatch
    ) -> Answer:
        """One attempt, and another where the deployment of the first was removed meanwhile."""
        try:
            answer = await self._attempt(catalog, query, wanted, stopwatch)
        except FailedPrecondition as error:
            if error.reason not in _MAY_BE_REMOVED:
                raise
            return await self._attempt(catalog, query, wanted, stopwatch)
        # A collection that is gone has no images, and one that is shared loses them by and by.
        found = answer.ranked
        if found.total == 0 or (answer.deployment.shared and found.exhausted):
            live, old = await self._threads.call(self._live, catalog), answer.deployment
            if (live.collection, live.tenant) != (old.collection, old.tenant):
                return await self._attempt(catalog, query, wanted, stopwatch)
        return answer

    def _live(self, catalog: str) -> Deployment:
        with self._records.begin(snapshot=False) as tx:
            return tx.catalogs.deployment(catalog)

    async def _attempt(
        self, catalog: str, query: Query, wanted: Wanted, stopwatch: Stopwatch
    ) -> Answer:
        source: Float32 | StoredImage | Vector
        if isinstance(query, Photo):
            opened, embedded = await self._embed(catalog, query, wanted, stopwatch)
            stopwatch.add(embedded.timings_ms)
            source = embedded.embedding
        else:
            opened = await self._threads.call(self._open, catalog, query, wanted, stopwatch)
            source = query
        deployment = opened.deployment
        course = Course(
            wanted.stages, stopwatch, self._costs, wanted.latency_budget, wanted.settled
        )
        ranked, verdict = await self._threads.call(self._rank, deployment, source, wanted, course)
        if isinstance(query, Photo) and deployment.comparing:
            self._comparisons.begin(Searched(deployment, query, embedded.embedding, wanted))
        pictures, warning = await self._explaining.explain(
            query, ranked, wanted.explain, deployment.model_digest, course
        )
        warnings = (*(verdict.warnings if verdict else ()), *([warning] if warning else ()))
        return Answer(
            ranked,
            deployment,
            course.ran,
            course.skipped,
            verdict,
            opened.photo,
            pictures,
            warnings,
            stopwatch.timings(),
        )

    async def _embed(
        self, catalog: str, photo: Photo, wanted: Wanted, stopwatch: Stopwatch
    ) -> "tuple[_Opened, QueryEmbedding]":
        """The live deployment and the photo's embedding by its model, both at once.

        The embedding begins with the model that the catalogue's last search found; should the
        records name another one by now, it is thrown away.
        """
        guess = self._last_digests.get(catalog)
        begun = self._begin(photo, guess, stopwatch) if guess else None
        try:
            opened = await self._threads.call(self._open, catalog, photo, wanted, stopwatch)
            digest = self._last_digests[catalog] = opened.deployment.model_digest
            if begun is None or digest != guess:
                embedded = await self._begin(photo, digest, stopwatch)
            else:
                embedded = await begun
            return opened, fused(embedded, opened.deployment.distance)
        except NotFound:
            self._last_digests.pop(catalog, None)
            raise
        finally:
            if begun is not None:
                begun.cancel()

    def _begin(
        self, photo: Photo, digest: str, stopwatch: Stopwatch
    ) -> "asyncio.Task[list[QueryEmbedding]]":
        work = photo.embed(self._embedder, digest, stopwatch.remaining())
        task = asyncio.ensure_future(work)
        # One that is thrown away may have failed, which is nobody's business then.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    def _open(self, catalog: str, query: Query, wanted: Wanted, stopwatch: Stopwatch) -> "_Opened":
        """Reads the deployment, once a search, and looks at the query."""
        with stopwatch.stage("records"), self._records.begin(snapshot=False) as tx:
            deployment = tx.catalogs.deployment(catalog)
            if isinstance(query, Photo) or wanted.explain:
                self._check_embedder(tx, deployment)
            if isinstance(query, StoredImage):
                tx.products.get_image(catalog, query.product, query.sha256)
        if isinstance(query, Photo):
            query.check(self._limits.photo)
            return _Opened(deployment, hashlib.sha256(query.data).hexdigest())
        return _Opened(deployment, query.sha256 if isinstance(query, StoredImage) else "")

    def _check_embedder(self, tx: Records, deployment: Deployment) -> None:
        digest = deployment.model_digest
        if digest not in self._embed_here:
            if is_external(tx.models.spec(digest)):
                raise no_embedder(deployment.model)
            self._embed_here.add(digest)

    def _rank(
        self,
        deployment: Deployment,
        source: Float32 | StoredImage | Vector,
        wanted: Wanted,
        course: Course,
    ) -> tuple[Ranked, Verdict | None]:
        if isinstance(source, StoredImage):
            with course.stopwatch.stage("search"):
                source = source.fetch(deployment, self._vectors)
        elif isinstance(source, Vector):
            source = source.checked(deployment)
        ranked = self._candidates.rank(deployment, source, wanted, course)
        scores = ranked.scores
        if len(scores) == 1 and wanted.score_threshold is not None:
            # A second result was left out, perhaps: its score is at most the threshold.
            scores = (*scores, wanted.score_threshold)
        counts = not wanted.offset
        return ranked, self._verdicts.judge(deployment, course.ran, scores, counts=counts)


@dataclass(frozen=True, slots=True)
class _Opened:
    """The live deployment, and the SHA-256 of the photo or image that is searched with."""

    deployment: Deployment
    photo: str
