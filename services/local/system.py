"""Composition root of the local profile: adapters, workers and gateway in one process."""

import os
import uuid
from concurrent.futures import Future
from contextlib import ExitStack

from services.coordinator.handlers import Coordinator
from services.coordinator.settings import CoordinatorLimits
from services.core.adapters.celery_queue import CeleryQueue
from services.core.adapters.file_objects import FileObjects
from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.adapters.sql_records import open_sqlite
from services.core.adapters.system_clock import SystemClock
from services.core.runtime.celery_app import make_app
from services.embedding import tasks as embedding_tasks
from services.embedding.explaining import Explainer
from services.embedding.handlers import BulkEmbedder, QueryEmbedder
from services.embedding.preparing import ModelPreparer
from services.embedding.serving import Serving
from services.evaluation import tasks as evaluation_tasks
from services.evaluation.handlers import EvaluationHandlers
from services.gateway.service import Gateway, Ports
from services.gateway.settings import GatewayLimits
from services.imaging.decode_pool import DecodePool
from services.indexing.handlers import Indexer
from services.ingestion.fetching.fetcher import open_fetcher
from services.ingestion.handlers import Ingestor
from services.local.data_directory import DataDirectory
from services.local.models import LoadedModels
from services.local.settings import LocalSettings
from services.local.vector_process import VectorProcess
from services.local.workers import Workers


class LocalSystem:
    """Everything behind `gateway`; `close` ends all of it, in the reverse order of its start.

    Takes over `starting`, the vector server on its way up.
    """

    def __init__(
        self, settings: LocalSettings, data: DataDirectory, starting: Future[VectorProcess]
    ) -> None:
        with ExitStack() as opened:
            clock, objects = SystemClock(), FileObjects(data.objects)
            records = open_sqlite(data.records)
            opened.callback(records.close)
            decoders = DecodePool(
                settings.decoders or len(os.sched_getaffinity(0)),
                budget=settings.decoder_memory * 1_000_000,
            )
            opened.callback(decoders.close)
            models = LoadedModels(settings, data, records, objects, clock)
            opened.callback(models.close)
            server = starting.result()
            opened.callback(server.close)
            vectors = QdrantVectors("127.0.0.1", server.port)
            opened.callback(vectors.close)

            broker = f"memory://{uuid.uuid4().hex}/"
            queue = CeleryQueue(make_app(broker))
            limits = CoordinatorLimits(
                window=settings.window, products_per_image=settings.products_per_image
            )
            coordinator = Coordinator(records, objects, queue, clock, limits)
            coordinator.recover()
            coordinator.serving.write()
            serving = Serving(objects, models.host, queue, "local", settings.serving_interval)
            opened.callback(serving.close)
            bulk = BulkEmbedder(objects, decoders, models.host)
            opened.callback(bulk.close)
            explainer = Explainer(objects, decoders, models.host)
            opened.callback(explainer.close)
            ca_file = str(settings.fetch_ca_file or "")
            fetcher = open_fetcher(objects, settings.fetch_limits(), ca_file=ca_file)
            workers = Workers(
                broker,
                queue,
                coordinator,
                Ingestor(objects, settings.shard_rows, fetcher=fetcher),
                embedding_tasks.handlers(bulk, ModelPreparer(objects, models.store), explainer),
                Indexer(objects, vectors),
                evaluation_tasks.handlers(EvaluationHandlers(objects)),
                limits.tick,
            )
            serving.start()
            opened.callback(workers.close)
            opened.callback(fetcher.close)  # first, so that no worker waits for a slow host
            embedder = QueryEmbedder(decoders, models.host, explainer)
            ports = Ports(records, objects, vectors, queue, embedder, clock)
            self.gateway = Gateway(
                ports, GatewayLimits(share_collections=settings.share_collections)
            )
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Stops workers, models and children; safe to kill instead, the records go on."""
        self._opened.close()
