"""The ingestion worker process: manifests become shards of checked rows and stored images."""

import sys
from contextlib import ExitStack

from services.core.runtime.connections.broker import open_queue, worker_app
from services.core.runtime.connections.objects import open_objects
from services.core.runtime.startup import run_service
from services.core.runtime.worker_process import run_worker
from services.ingestion import tasks
from services.ingestion.fetching.fetcher import open_fetcher
from services.ingestion.handlers import Ingestor
from services.ingestion.settings import IngestionSettings


def main() -> int:
    return run_service(IngestionSettings, _serve)


def _serve(settings: IngestionSettings) -> int:
    with ExitStack() as opened:
        objects = open_objects(settings)
        ca_file = str(settings.fetch_ca_file or "")
        fetcher = open_fetcher(objects, settings.fetch_limits(), ca_file=ca_file)
        opened.callback(fetcher.close)
        ingestor = Ingestor(objects, settings.shard_rows, fetcher=fetcher)
        handlers = tasks.handlers(ingestor)
        queue = open_queue(settings)
        opened.callback(queue.close)
        return run_worker(
            worker_app(settings, tasks.QUEUES, handlers, queue),
            tasks.QUEUES,
            settings.ingest_threads,
            "ingestion",
            grace=settings.grace_seconds,
            heartbeat_file=settings.heartbeat_file,
        )


if __name__ == "__main__":
    sys.exit(main())
