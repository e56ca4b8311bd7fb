"""The queue workers of the local profile: one thread pool a service, one broker in the process."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.coordinator import tasks as coordinator_tasks
from services.coordinator.clockwork import Clockwork
from services.coordinator.handlers import Coordinator
from services.core.adapters.celery_queue import CeleryQueue
from services.core.runtime.celery_app import make_app
from services.core.runtime.worker import Handlers, RunningWorker, register, start_worker
from services.embedding import tasks as embedding_tasks
from services.evaluation import tasks as evaluation_tasks
from services.indexing import tasks as indexing_tasks
from services.indexing.handlers import Indexer
from services.ingestion import tasks as ingestion_tasks
from services.ingestion.handlers import Ingestor

_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class _Plan:
    name: str
    queues: Sequence[str]
    handlers: Handlers
    threads: int = 1


class Workers:
    """Every worker and the coordinator's clockwork, on `broker` (a memory:// URL)."""

    def __init__(
        self,
        broker: str,
        queue: CeleryQueue,
        coordinator: Coordinator,
        ingestor: Ingestor,
        embed: Handlers,
        indexer: Indexer,
        evaluate: Handlers,
        tick: float,
    ) -> None:
        plans = (
            _Plan("control", coordinator_tasks.QUEUES, coordinator_tasks.handlers(coordinator)),
            # Two at a time: one shard may wait for the images of a slow host.
            _Plan("ingestion", ingestion_tasks.QUEUES, ingestion_tasks.handlers(ingestor), 2),
            # Two at a time: one shard is decoded while the last batches of another are embedded.
            _Plan("embedding-bulk", embedding_tasks.BULK_QUEUES, embed, threads=2),
            _Plan("embedding-single", embedding_tasks.SINGLE_QUEUES, embed),
            _Plan("indexing", indexing_tasks.QUEUES, indexing_tasks.handlers(indexer)),
            _Plan("evaluation", evaluation_tasks.QUEUES, evaluate),
        )
        self._running = [_start(broker, queue, plan) for plan in plans]
        self._clockwork = Clockwork(coordinator, tick)

    def close(self) -> None:
        """Takes no more messages and waits for running tasks; what is left is in the records."""
        self._clockwork.stop()
        for worker in self._running:
            worker.begin_stop()
        for worker in self._running:
            worker.stop(_STOP_SECONDS)
        self._clockwork.close(_STOP_SECONDS)


def _start(broker: str, queue: CeleryQueue, plan: _Plan) -> RunningWorker:
    app = make_app(broker, plan.queues)
    register(app, plan.handlers, queue.publish)
    return start_worker(app, plan.queues, plan.threads, plan.name)
