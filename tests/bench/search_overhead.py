"""What a search costs beyond embedding its photo."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from services.core.adapters.file_objects import FileObjects
from services.core.ports import Float32
from services.embedding.explaining import Explainer
from services.embedding.handlers import QueryEmbedder
from services.embedding.model_host import ModelHost
from services.embedding.models import make_gate
from services.imaging.decode_pool import DecodePool
from services.local.settings import LocalSettings
from services.vision.models import builtin_model
from shelflens import Client
from tests.bench.catalogues import PRODUCTS, choose_catalog
from tests.bench.figures import Figure, Outcome, Target, at_most
from tests.bench.quantiles import median, timed
from tests.bench.servers import CATALOG, filled_server

_PHOTOS = 200
_WARM_UP = 20
_TIMEOUT = 10.0


class EmbedderHere:
    """The server's way from a photo to its embedding, in this process."""

    def __init__(self) -> None:
        settings = LocalSettings(data=Path("unused"))
        spec, load = builtin_model("base")
        self._gate = make_gate(settings)
        host = ModelHost(lambda _: load(), self._gate)
        host.load(spec)
        self._digest = spec.digest
        self._pool = DecodePool(1)
        self._explainer = Explainer(FileObjects(settings.data), self._pool, host)
        self._embedder = QueryEmbedder(self._pool, host, self._explainer)
        self._runner = asyncio.Runner()

    def embed(self, photo: bytes) -> Float32:
        """float32 [1280], of length 1."""
        answer = self._runner.run(self._embedder.embed(photo, self._digest, _TIMEOUT))
        return answer.embedding

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()
        self._explainer.close()
        self._pool.close()
        self._gate.close()


def search_overhead(data: Path | None) -> Iterator[Outcome]:
    """At the size of the rendered catalogue, idle."""
    catalog = choose_catalog(data)
    photos = [path.read_bytes() for _, path in catalog.queries(_PHOTOS)]
    with filled_server(catalog, PRODUCTS) as (_, client), EmbedderHere() as embedder:
        yield from compared(client, embedder, photos, "3,000", at_most(5))


def compared(
    client: Client, embedder: EmbedderHere, photos: list[bytes], size: str, target: Target
) -> Iterator[Figure]:
    """Each photo searched and embedded in turn, so that both meet the same load."""
    searches: list[float] = []
    embeddings: list[float] = []
    stages: list[Mapping[str, float]] = []
    for photo in (*photos[:_WARM_UP], *photos):
        embeddings.append(timed(embedder.embed, photo)[0])
        took, answer = timed(client.search, CATALOG, photo, timings=True)
        searches.append(took)
        beyond = took - answer.timings_ms["decode"] - answer.timings_ms["embed"]
        outside = took - answer.timings_ms["total"]
        stages.append({**answer.timings_ms, "beyond": beyond, "outside": outside})
    searches, embeddings, stages = (
        searches[_WARM_UP:],
        embeddings[_WARM_UP:],
        stages[_WARM_UP:],
    )
    overhead = median(searches) - median(embeddings)
    yield Figure(f"search beyond embedding at {size} images, p50", overhead, "ms", target)
    yield Figure(f"search at {size} images, p50", median(searches), "ms")
    yield Figure("embedding a photo alone, p50", median(embeddings), "ms")
    of_stage = {name: median([each[name] for each in stages]) for name in stages[0]}
    yield Figure("beyond embedding by the server's own timings, p50", of_stage["beyond"], "ms")
    yield Figure("vector search, p50", of_stage["search"], "ms")
    yield Figure("reading the records, p50", of_stage["records"], "ms")
    yield Figure("between client and handler, p50", of_stage["outside"], "ms")
