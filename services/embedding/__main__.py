"""The embedding worker process: shards of imports, or the photos that users search with."""

import argparse
import os
import socket
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from services.core.adapters.celery_queue import CeleryQueue
from services.core.domain.model import Model
from services.core.messages import ModelOffered
from services.core.ports import ObjectStore, TaskQueue
from services.core.runtime.connections.broker import open_queue, worker_app
from services.core.runtime.connections.objects import open_objects
from services.core.runtime.local_worker import start_worker
from services.core.runtime.startup import run_service, wait_for
from services.core.runtime.worker_process import run_worker
from services.embedding import tasks
from services.embedding.explaining import Explainer
from services.embedding.handlers import BulkEmbedder, QueryEmbedder
from services.embedding.model_host import ModelHost
from services.embedding.model_store import ModelStore
from services.embedding.models import make_gate, offered_models
from services.embedding.preparing import ModelPreparer
from services.embedding.query_replies import Replies
from services.embedding.query_tasks import QUERY_QUEUES, QueryAnswers, query_app
from services.embedding.serving import Serving
from services.embedding.settings import EmbeddingSettings, Queue
from services.imaging.decode_pool import DecodePool
from services.retrieval.linear_store import LinearStore


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.embedding", description=__doc__)
    parser.add_argument("--queue", type=Queue, choices=list(Queue), required=True)
    serve = {Queue.BULK: _serve_bulk, Queue.QUERY: _serve_queries}[parser.parse_args().queue]
    return run_service(EmbeddingSettings, serve)


def _serve_bulk(settings: EmbeddingSettings) -> int:
    with ExitStack() as opened:
        objects, queue = _open(settings, opened)
        decoders, host, models = _open_models(settings, objects, queue, opened)
        embedder = BulkEmbedder(objects, decoders, host, settings.batch_size)
        opened.callback(embedder.close)
        preparer = ModelPreparer(objects, models, settings.device)
        explainer = Explainer(objects, decoders, host)
        opened.callback(explainer.close)
        # Single uploads have a thread of their own: they do not wait behind an import.
        handlers = tasks.handlers(embedder, preparer, explainer)
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
        decoders, host, _ = _open_models(settings, objects, queue, opened)
        worker = f"{socket.gethostname()}-{os.getpid()}"
        serving = Serving(objects, host, queue, worker, settings.serving_interval)
        opened.callback(serving.close)
        wait_for("object store", serving.start)
        broker = settings.broker_url.get_secret_value()
        replies = Replies(broker)
        opened.callback(replies.close)
        explainer = Explainer(objects, decoders, host)
        opened.callback(explainer.close)
        answers = QueryAnswers(QueryEmbedder(decoders, host, explainer), objects)
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


def _open_models(
    settings: EmbeddingSettings, objects: ObjectStore, queue: TaskQueue, opened: ExitStack
) -> tuple[DecodePool, ModelHost, ModelStore]:
    """Decoders, the host of all models with the default one, and where the others come from. The
    built-in ones are offered to the coordinator."""
    decoders = DecodePool(
        settings.decoders or len(os.sched_getaffinity(0)),
        budget=settings.decoder_memory * 1_000_000,
    )
    opened.callback(decoders.close)
    offered = offered_models(settings, settings.precision or None, settings.device)
    cache = settings.model_cache or Path(opened.enter_context(tempfile.TemporaryDirectory()))
    models = ModelStore(objects, cache, settings.device)
    for _, spec, weights in offered:
        files = {} if weights is None else {spec.weights_sha256: weights}
        wait_for("object store", partial(models.publish, Model.plain(spec), files))
    gate = make_gate(
        settings, settings.device, settings.query_batch_size, settings.query_window_ms / 1e3
    )
    opened.callback(gate.close)
    linears = LinearStore(objects)
    host = ModelHost(models.load, gate, models.find, linears.of, settings.models_loaded)
    host.load(offered[0][1])
    for name, spec, _ in offered:
        offer = ModelOffered(
            id=spec.digest, operation="", revision=0, name=name, spec=spec.to_json()
        )
        wait_for("broker", partial(queue.publish, offer))
    return decoders, host, models


if __name__ == "__main__":
    sys.exit(main())
