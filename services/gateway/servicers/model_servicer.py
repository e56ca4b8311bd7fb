"""ModelService."""

# ruff: noqa: N802 - the methods are named in the proto.

from collections.abc import AsyncIterator
from dataclasses import dataclass

from google.longrunning import operations_pb2
from google.protobuf.empty_pb2 import Empty

from services.core.domain import names
from services.core.domain.errors import InvalidArgument
from services.gateway.handlers.deployments import Deployments
from services.gateway.handlers.models import Models
from services.gateway.handlers.weights import Weights, WeightsFile
from services.gateway.servicers.deadlines import Context
from services.gateway.servicers.model_conversions import (
    CATALOG,
    MODEL,
    deployment_ids,
    deployment_message,
    model_message,
    read_source,
    read_wish,
)
from services.gateway.servicers.operation_conversions import operation_message
from services.gateway.servicers.pagination import Page, read_page
from services.gateway.servicers.repeats import once
from services.gateway.servicers.streams import begun
from services.gateway.settings import GatewayLimits
from shelflens.v1 import models_pb2 as pb
from shelflens.v1 import models_pb2_grpc


@dataclass(frozen=True, slots=True)
class ModelUseCases:
    """What the service does, apart from its protocol."""

    models: Models
    weights: Weights
    deployments: Deployments


class ModelServicer(models_pb2_grpc.ModelServiceServicer):
    """Models, and which of them answers for a catalogue."""

    def __init__(self, use_cases: ModelUseCases, limits: GatewayLimits) -> None:
        self._models = use_cases.models
        self._weights = use_cases.weights
        self._deployments = use_cases.deployments
        self._limits = limits

    async def CreateModel(
        self, request: pb.CreateModelRequest, context: Context
    ) -> operations_pb2.Operation:
        call = once(request, request.request_id, operations_pb2.Operation, operation_message)
        source = read_source(request)
        return await self._models.create(request.model_id, source, request.validate_only, call)

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:
        return model_message(await self._models.get(*names.parse(request.name, MODEL)))

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        page = self._page(request)
        found = await self._models.page(page.after, page.size + 1)
        shown, token = page.split(found, lambda each: each.record.name)
        return pb.ListModelsResponse(models=map(model_message, shown), next_page_token=token)

    async def DeleteModel(self, request: pb.DeleteModelRequest, context: Context) -> Empty:
        await self._models.delete(*names.parse(request.name, MODEL))
        return Empty()

    async def UploadWeights(
        self, request_iterator: AsyncIterator[pb.UploadWeightsRequest], context: Context
    ) -> pb.UploadWeightsResponse:
        first, requests = await begun(request_iterator)
        file = WeightsFile(first.filename, first.sha256, first.size_bytes)
        # An empty piece would end the file.
        chunks = (each.data async for each in requests if each.data)
        upload = await self._weights.upload(file, chunks)
        return pb.UploadWeightsResponse(name=names.upload_name(upload))

    async def DeployModel(
        self, request: pb.DeployModelRequest, context: Context
    ) -> operations_pb2.Operation:
        (catalog,) = names.parse(request.catalog, CATALOG, "catalog")
        call = once(request, request.request_id, operations_pb2.Operation, operation_message)
        return await self._deployments.deploy(catalog, read_wish(request), call)

    async def ListDeployments(
        self, request: pb.ListDeploymentsRequest, context: Context
    ) -> pb.ListDeploymentsResponse:
        (catalog,) = names.parse(request.parent, CATALOG, "parent")
        page = self._page(request)
        if page.after and not page.after.isdecimal():
            raise InvalidArgument.field(
                "page_token", "is not a token of this request", reason="PAGE_TOKEN_INVALID"
            )
        before = int(page.after) if page.after else None
        found = await self._deployments.page(catalog, before, page.size + 1)
        shown, token = page.split(found, lambda each: str(each.deployment.number))
        return pb.ListDeploymentsResponse(
            deployments=map(deployment_message, shown), next_page_token=token
        )

    async def RollbackDeployment(
        self, request: pb.RollbackDeploymentRequest, context: Context
    ) -> pb.Deployment:
        call = once(request, request.request_id, pb.Deployment, deployment_message)
        if "/deployments/" in request.name:
            catalog, number = deployment_ids(request.name)
            return await self._deployments.rollback(catalog, number, call)
        (catalog,) = names.parse(request.name, CATALOG)
        return await self._deployments.rollback(catalog, None, call)

    async def DeleteDeployment(
        self, request: pb.DeleteDeploymentRequest, context: Context
    ) -> operations_pb2.Operation:
        catalog, number = deployment_ids(request.name)
        return operation_message(await self._deployments.delete(catalog, number))

    def _page(self, request: pb.ListModelsRequest | pb.ListDeploymentsRequest) -> Page:
        limits = self._limits
        size, token = request.page_size, request.page_token
        return read_page(request, size, token, limits.page_size, limits.max_page_size)
