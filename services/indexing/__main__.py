"""The indexing worker process: keeps the vector storage."""

import sys
from contextlib import ExitStack

from services.core.runtime.connections.broker import open_queue, worker_app
from services.core.runtime.connections.objects import open_objects
from services.core.runtime.connections.vectors import open_vectors
from services.core.runtime.startup import run_service
from services.core.runtime.worker_process import run_worker
from services.indexing import tasks
from services.indexing.handlers import Indexer
from services.indexing.settings import IndexingSettings


def main() -> int:
    return run_service(IndexingSettings, _serve)


def _serve(settings: IndexingSettings) -> int:
    with ExitStack() as opened:
        objects = open_objects(settings)
        vectors = open_vectors(settings)
        opened.callback(vectors.close)
        handlers = tasks.handlers(Indexer(objects, vectors))
        queue = open_queue(settings)
        opened.callback(queue.close)
        return run_worker(
            worker_app(settings, tasks.QUEUES, handlers, queue),
            tasks.QUEUES,
            settings.index_threads,
            "indexing",
            grace=settings.grace_seconds,
            heartbeat_file=settings.heartbeat_file,
        )


if __name__ == "__main__":
    sys.exit(main())
