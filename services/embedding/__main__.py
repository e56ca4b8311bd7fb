"""The embedding worker process: shards of imports, or the photos that users search with."""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from services.core.adapters.celery_queue import CeleryQueue
from services.core.messages import ModelOffered
from services.core.ports import ObjectStore, TaskQueue
from services.core.runtime.connections.broker import open_queue, worker_app
from services.core.runtime.connections.objects import open_objects
from services.core.runtime.local_worker import start_worker
from services.core.runtime.startup import run_service, wait_for
from services.core.runtime.worker_process import run_worker
from services.embedding import tasks
from services.embedding.handlers import BulkEmbedder, QueryEmbedder
from services.embedding.model_host import ModelHost
from services.embedding.model_store import ModelStore
from services.embedding.models import default_model, make_gate
from services.embedding.query_replies import Replies
from services.embedding.query_tasks import QUERY_QUEUES, QueryAnswers, query_app
from services.embedding.settings import EmbeddingSettings, Queue
from services.imaging.decode_pool import DecodePool


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.embedding", description=__doc__)
    parser.add_argument("--queue", type=Queue, choices=list(Queue), required=True)
    serve = {Queue.BULK: _serve_bulk, Queue.QUERY: _serve_queries}[parser.parse_args().queue]
    return run_service(EmbeddingSettings, serve)


def _serve_bulk(settings: EmbeddingSettings) -> int:
    with ExitStack() as opened:
        objects, queue = _open(settings, opened)
        decoders, host = _open_model(settings, objects, queue, opened)
        embedder = BulkEmbedder(objects, decoders, host, settings.batch_size)
        opened.callback(embedder.close)
        # Single uploads have a thread of their own: they do not wait behind an import.
        handlers = tasks.handlers(embedder)
        single_app = worker_app(settings, tasks.SINGLE_QUEUES, handlers, queue)
        single = start_worker(single_app, tasks.SINGLE_QUEUES, 1, "embedding-single")
        opened.callback(single.stop, settings.grace_seconds)
        return run_worker(
            worker_app(settings, tasks.BULK_QUEUES, handlers, queue),
            tasks.BULK_QUEUES,
            2,  # one shard is decoded while the last batches of another are embedded
            "embedding-bulk",
            grace=settings.grace_seconds,
            heartbeat_file=settings.heartbeat_file,
            on_stopping=single.begin_stop,
            beside=(single_app,),
        )


def _serve_queries(settings: EmbeddingSettings) -> int:
    with ExitStack() as opened:
        objects, queue = _open(settings, opened)
        decoders, host = _open_model(settings, objects, queue, opened)
        broker = settings.broker_url.get_secret_value()
        replies = Replies(broker)
        opened.callback(replies.close)
        answers = QueryAnswers(QueryEmbedder(decoders, host), objects)
        return run_worker(
            query_app(broker, answers, replies, settings.broker_prefix),
            QUERY_QUEUES,
            settings.query_threads,
            "embedding-query",
            grace=settings.grace_seconds,
            heartbeat_file=settings.heartbeat_file,
        )


def _open(settings: EmbeddingSettings, opened: ExitStack) -> tuple[ObjectStore, CeleryQueue]:
    objects = open_objects(settings)
    queue = open_queue(settings)
    opened.callback(queue.close)
    return objects, queue


def _open_model(
    settings: EmbeddingSettings, objects: ObjectStore, queue: TaskQueue, opened: ExitStack
) -> tuple[DecodePool, ModelHost]:
    """Decoders, and a host of the default model, which is offered to the coordinator."""
    decoders = DecodePool(
        settings.decoders or len(os.sched_getaffinity(0)),
        budget=settings.decoder_memory * 1_000_000,
    )
    opened.callback(decoders.close)
    spec, weights = default_model(settings, settings.precision or None, settings.device)
    cache = settings.model_cache or Path(opened.enter_context(tempfile.TemporaryDirectory()))
    models = ModelStore(objects, cache, settings.device)
    wait_for("object store", partial(models.publish, spec, weights))
    gate = make_gate(
        settings, settings.device, settings.query_batch_size, settings.query_window_ms / 1e3
    )
    opened.callback(gate.close)
    host = ModelHost(models.load, gate, models.find)
    host.load(spec)
    offer = ModelOffered(id=spec.digest, operation="", revision=0, name="base", spec=spec.to_json())
    wait_for("broker", partial(queue.publish, offer))
    return decoders, host


if __name__ == "__main__":
    sys.exit(main())
