"""What embedding a photo through the queue costs beyond embedding it."""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from services.core.adapters.file_objects import FileObjects
from services.core.adapters.query_embedder import QueueEmbedder
from services.core.messages import EmbedQuery
from services.core.ports import QueryEmbedding
from services.core.runtime.declaring import kombu_queue
from services.core.runtime.topology import topology
from services.vision.models import builtin_model
from tests.bench.catalogues import choose_catalog
from tests.bench.figures import Figure, Outcome, at_most
from tests.bench.quantiles import median, quantile, timed
from tests.bench.search_overhead import EmbedderHere
from tests.servers.query_worker import start_query_worker
from tests.servers.rabbitmq import RabbitMq

_PHOTOS = 200
_WARM_UP = 20
_TIMEOUT = 10.0


class EmbedderBehindQueue:
    """The cluster's way from a photo to its embedding, from this process."""

    def __init__(self, embedder: QueueEmbedder) -> None:
        self._embedder = embedder
        self._digest = builtin_model("base")[0].digest
        self._runner = asyncio.Runner()

    def embed(self, photo: bytes) -> QueryEmbedding:
        """With the worker's timings."""
        return self._runner.run(self._embedder.embed(photo, self._digest, _TIMEOUT))

    def close(self) -> None:
        self._embedder.close()
        self._runner.close()


def cluster_search_overhead(data: Path | None) -> Iterator[Outcome]:
    """Idle: each photo through the queue and in this process in turn, under the same load."""
    photos = [path.read_bytes() for _, path in choose_catalog(data).queries(_PHOTOS)]
    queued: list[float] = []
    alone: list[float] = []
    stages: list[Mapping[str, float]] = []
    with _behind_queue() as cluster, EmbedderHere() as here:
        for photo in (*photos[:_WARM_UP], *photos):
            alone.append(timed(here.embed, photo)[0])
            took, answer = timed(cluster.embed, photo)
            queued.append(took)
            stages.append(answer.timings_ms)
    queued, alone, stages = queued[_WARM_UP:], alone[_WARM_UP:], stages[_WARM_UP:]
    beyond = median(queued) - median(alone)
    yield Figure("a photo through the queue beyond embedding it, p50", beyond, "ms", at_most(8))
    yield Figure("a photo through the queue, p50", median(queued), "ms")
    yield Figure("a photo through the queue, p99", quantile(queued, 0.99), "ms")
    yield Figure("a photo in one process, p50", median(alone), "ms")
    for name in stages[0]:
        yield Figure(
            f"{name} by the answers' timings, p50", median([s[name] for s in stages]), "ms"
        )


@contextmanager
def _behind_queue() -> Iterator[EmbedderBehindQueue]:
    """With a broker and a worker of their own, as processes."""
    table = topology()
    queue = kombu_queue(table.routes[EmbedQuery.QUEUE], table)
    lanes = str(len(os.sched_getaffinity(0)))
    with (
        tempfile.TemporaryDirectory(prefix="shelflens-bench-") as folder,
        RabbitMq(Path(folder) / "broker") as broker,
    ):
        objects = Path(folder) / "objects"
        worker = start_query_worker(
            broker.url, objects, builtin_model("base")[0], None, "--lanes", lanes
        )
        embedder = EmbedderBehindQueue(QueueEmbedder(broker.url, queue, FileObjects(objects)))
        try:
            yield embedder
        finally:
            embedder.close()
            worker.stop()
