"""How the gateway's parts fit together, for every process that serves it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import grpc
from google.longrunning import operations_pb2_grpc

from services.core.ports import Clock, Embedder, ObjectStore, TaskQueue, VectorStore
from services.core.record_ports import RecordStore
from services.gateway.handlers.catalogs import Catalogs
from services.gateway.handlers.contents import Contents
from services.gateway.handlers.datasets import Datasets
from services.gateway.handlers.dead_letters import DeadLetters
from services.gateway.handlers.deployments import Deployments
from services.gateway.handlers.erasing import Erasing
from services.gateway.handlers.evaluations import Evaluations
from services.gateway.handlers.exports import Exports
from services.gateway.handlers.feedback import UserFeedback
from services.gateway.handlers.images import Images
from services.gateway.handlers.imports import Imports
from services.gateway.handlers.models import Models
from services.gateway.handlers.operations import Operations
from services.gateway.handlers.products import Products
from services.gateway.handlers.reports import Reports
from services.gateway.handlers.search import Search
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import Transactions
from services.gateway.handlers.weights import Weights
from services.gateway.servicers.catalog_servicer import CatalogServicer, UseCases
from services.gateway.servicers.dead_letter_servicer import DeadLetterServicer
from services.gateway.servicers.evaluation_servicer import EvaluationServicer, EvaluationUseCases
from services.gateway.servicers.model_servicer import ModelServicer, ModelUseCases
from services.gateway.servicers.operations_servicer import OperationsServicer
from services.gateway.servicers.search_servicer import SearchServicer
from services.gateway.settings import GatewayLimits
from shelflens.v1 import (
    catalogs_pb2_grpc,
    dead_letters_pb2_grpc,
    evaluation_pb2_grpc,
    models_pb2_grpc,
    search_pb2_grpc,
)

AddService = Callable[[grpc.aio.Server], None]


@dataclass(frozen=True, slots=True)
class Ports:
    """What the gateway needs from the outside world."""

    records: RecordStore
    objects: ObjectStore
    vectors: VectorStore
    queue: TaskQueue
    embedder: Embedder
    clock: Clock


class Gateway:
    """The gateway's services over `ports`; `close` ends its threads."""

    def __init__(self, ports: Ports, limits: GatewayLimits | None = None) -> None:
        limits = limits or GatewayLimits()
        records = Threads(limits.record_threads, "gateway-records")
        objects = Threads(limits.object_threads, "gateway-objects")
        uploads = Threads(limits.upload_threads, "gateway-uploads")
        searches = Threads(limits.search_threads, "gateway-search")
        self._threads = (records, objects, uploads, searches)
        transactions = Transactions(ports.records, ports.queue, ports.clock, records)
        self._operations = Operations(transactions, ports.objects, objects, limits.poll_interval)
        use_cases = UseCases(
            catalogs=Catalogs(transactions, limits),
            products=Products(transactions),
            images=Images(transactions, ports.objects, objects, limits.image),
            contents=Contents(transactions, ports.objects, objects, limits),
            imports=Imports(transactions, ports.objects, uploads, limits),
            reports=Reports(self._operations, ports.objects, objects),
            erasing=Erasing(transactions),
            exports=Exports(transactions, ports.objects, ports.vectors, objects),
        )
        model_use_cases = ModelUseCases(
            models=Models(transactions, ports.objects, objects),
            weights=Weights(ports.objects, uploads, limits),
            deployments=Deployments(transactions, ports.vectors, objects, limits),
        )
        evaluation_use_cases = EvaluationUseCases(
            datasets=Datasets(transactions, ports.objects, objects, limits),
            evaluations=Evaluations(transactions, ports.objects, objects, limits.watch_interval),
        )
        self._evaluation_servicer = EvaluationServicer(evaluation_use_cases, limits)
        self._search = Search(
            ports.records, ports.vectors, ports.embedder, ports.objects, searches, limits
        )
        self._catalog_servicer = CatalogServicer(use_cases, limits)
        feedback = UserFeedback(transactions, ports.objects, objects, ports.clock, limits.photo)
        self._search_servicer = SearchServicer(self._search, feedback, limits)
        self._model_servicer = ModelServicer(model_use_cases, limits)
        self._operations_servicer = OperationsServicer(self._operations, limits)
        dead_letters = DeadLetters(transactions, ports.objects, ports.queue, objects)
        self._dead_letter_servicer = DeadLetterServicer(dead_letters, limits)

    def services(self) -> Mapping[str, AddService]:
        """Full service names and what adds each to a server, as GrpcServer wants them."""
        add_catalogs = catalogs_pb2_grpc.add_CatalogServiceServicer_to_server
        add_search = search_pb2_grpc.add_SearchServiceServicer_to_server
        add_models = models_pb2_grpc.add_ModelServiceServicer_to_server
        add_dead_letters = dead_letters_pb2_grpc.add_DeadLetterServiceServicer_to_server
        add_evaluations = evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server
        add_operations = operations_pb2_grpc.add_OperationsServicer_to_server
        return {
            "shelflens.v1.CatalogService": partial(add_catalogs, self._catalog_servicer),
            "shelflens.v1.SearchService": partial(add_search, self._search_servicer),
            "shelflens.v1.ModelService": partial(add_models, self._model_servicer),
            "shelflens.v1.EvaluationService": partial(add_evaluations, self._evaluation_servicer),
            "shelflens.v1.DeadLetterService": partial(add_dead_letters, self._dead_letter_servicer),
            "google.longrunning.Operations": partial(add_operations, self._operations_servicer),
        }

    async def close(self) -> None:
        """Call it after the server has stopped; waits for the calls that still run."""
        self._operations.close()
        await self._search.close()
        for threads in self._threads:
            await threads.close()
