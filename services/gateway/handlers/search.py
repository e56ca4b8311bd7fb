"""The use case of searching: query, vector, candidates, page."""

from dataclasses import dataclass

from services.core.ports import Embedder, Float32, VectorStore
from services.core.record_ports import Deployment, RecordStore
from services.gateway.handlers.candidates import Candidates, Ranked, Wanted
from services.gateway.handlers.queries import Photo, Query, StoredImage, Vector
from services.gateway.handlers.stopwatch import Stopwatch
from services.gateway.handlers.threads import Threads, within
from services.gateway.settings import GatewayLimits
from services.imaging.headers import inspect


@dataclass(frozen=True, slots=True)
class Answer:
    """A page of results and what it was made with. `timings`: milliseconds by stage."""

    ranked: Ranked
    deployment: Deployment
    timings: dict[str, float]


class Search:
    """Finds the products of a catalogue that look like a query."""

    def __init__(
        self,
        records: RecordStore,
        vectors: VectorStore,
        embedder: Embedder,
        threads: Threads,
        limits: GatewayLimits,
    ) -> None:
        self._records = records
        self._vectors = vectors
        self._embedder = embedder
        self._threads = threads
        self._limits = limits
        self._candidates = Candidates(vectors, records, limits.candidates)

    async def search(self, catalog: str, query: Query, wanted: Wanted, budget: float) -> Answer:
        """Answers or fails within `budget` seconds.

        Raises NotFound, InvalidArgument, InvalidImage, FailedPrecondition (IMAGE_NOT_SEARCHABLE,
        MODEL_NOT_LOADED), DeadlineExceeded, Unavailable.
        """
        return await within(budget, self._search(catalog, query, wanted, Stopwatch(budget)))

    async def _search(
        self, catalog: str, query: Query, wanted: Wanted, stopwatch: Stopwatch
    ) -> Answer:
        deployment = await self._threads.call(self._open, catalog, query, stopwatch)
        source: Float32 | StoredImage | Vector
        if isinstance(query, Photo):
            embedded = await self._embedder.embed(
                query.data, deployment.model_digest, stopwatch.remaining()
            )
            stopwatch.add(embedded.timings_ms)
            source = embedded.embedding
        else:
            source = query
        ranked = await self._threads.call(self._rank, deployment, source, wanted, stopwatch)
        return Answer(ranked, deployment, stopwatch.timings())

    def _open(self, catalog: str, query: Query, stopwatch: Stopwatch) -> Deployment:
        """Reads the deployment, once a search, and looks at the query."""
        with stopwatch.stage("records"), self._records.begin() as tx:
            deployment = tx.catalogs.deployment(catalog)
            if isinstance(query, StoredImage):
                tx.products.get_image(catalog, query.product, query.sha256)
        if isinstance(query, Photo):
            inspect(query.data, self._limits.photo)
        return deployment

    def _rank(
        self,
        deployment: Deployment,
        source: Float32 | StoredImage | Vector,
        wanted: Wanted,
        stopwatch: Stopwatch,
    ) -> Ranked:
        if isinstance(source, StoredImage):
            with stopwatch.stage("search"):
                source = source.fetch(deployment, self._vectors)
        elif isinstance(source, Vector):
            source = source.checked(deployment)
        return self._candidates.rank(deployment, source, wanted, stopwatch)
