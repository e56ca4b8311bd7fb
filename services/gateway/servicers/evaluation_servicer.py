"""EvaluationService."""

# ruff: noqa: N802 - the methods are named in the proto.

from collections.abc import AsyncIterator
from dataclasses import dataclass

from google.protobuf.empty_pb2 import Empty

from services.core.domain import names
from services.gateway.handlers.datasets import Datasets
from services.gateway.handlers.evaluations import Evaluations
from services.gateway.servicers.deadlines import Context
from services.gateway.servicers.evaluation_conversions import (
    CALIBRATION,
    DATASET,
    EVALUATION,
    calibration_message,
    dataset_message,
    evaluation_message,
    read_dataset,
    read_evaluation,
)
from services.gateway.servicers.pagination import Page, read_page
from services.gateway.servicers.repeats import once
from services.gateway.settings import GatewayLimits
from shelflens.v1 import evaluation_pb2 as pb
from shelflens.v1 import evaluation_pb2_grpc


@dataclass(frozen=True, slots=True)
class EvaluationUseCases:
    """What the service does, apart from its protocol."""

    datasets: Datasets
    evaluations: Evaluations


class EvaluationServicer(evaluation_pb2_grpc.EvaluationServiceServicer):
    """Datasets, evaluations and calibrations."""

    def __init__(self, use_cases: EvaluationUseCases, limits: GatewayLimits) -> None:
        self._datasets = use_cases.datasets
        self._evaluations = use_cases.evaluations
        self._limits = limits

    async def CreateDataset(self, request: pb.CreateDatasetRequest, context: Context) -> pb.Dataset:
        call = once(request, request.request_id, pb.Dataset, dataset_message)
        return await self._datasets.create(read_dataset(request), call)

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Context) -> pb.Dataset:
        return dataset_message(await self._datasets.get(*names.parse(request.name, DATASET)))

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, context: Context
    ) -> pb.ListDatasetsResponse:
        page = self._page(request)
        found = await self._datasets.page(page.after, page.size + 1)
        shown, token = page.split(found, lambda each: each.id)
        return pb.ListDatasetsResponse(datasets=map(dataset_message, shown), next_page_token=token)

    async def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: Context) -> Empty:
        await self._datasets.delete(*names.parse(request.name, DATASET))
        return Empty()

    async def CreateEvaluation(
        self, request: pb.CreateEvaluationRequest, context: Context
    ) -> pb.Evaluation:
        call = once(request, request.request_id, pb.Evaluation, evaluation_message)
        return await self._evaluations.create(read_evaluation(request), call)

    async def GetEvaluation(
        self, request: pb.GetEvaluationRequest, context: Context
    ) -> pb.Evaluation:
        found = await self._evaluations.get(*names.parse(request.name, EVALUATION))
        return evaluation_message(found)

    async def ListEvaluations(
        self, request: pb.ListEvaluationsRequest, context: Context
    ) -> pb.ListEvaluationsResponse:
        page = self._page(request)
        given = request.dataset
        dataset = names.parse(given, DATASET, "dataset")[0] if given else ""
        found = await self._evaluations.page(page.after, page.size + 1, dataset)
        shown, token = page.split(found, lambda each: each.evaluation.id)
        return pb.ListEvaluationsResponse(
            evaluations=map(evaluation_message, shown), next_page_token=token
        )

    async def WatchEvaluation(
        self, request: pb.WatchEvaluationRequest, context: Context
    ) -> AsyncIterator[pb.Evaluation]:
        (evaluation,) = names.parse(request.name, EVALUATION)
        async for each in self._evaluations.watch(evaluation):
            yield evaluation_message(each)

    async def CancelEvaluation(
        self, request: pb.CancelEvaluationRequest, context: Context
    ) -> pb.Evaluation:
        found = await self._evaluations.cancel(*names.parse(request.name, EVALUATION))
        return evaluation_message(found)

    async def DeleteEvaluation(
        self, request: pb.DeleteEvaluationRequest, context: Context
    ) -> Empty:
        await self._evaluations.delete(*names.parse(request.name, EVALUATION))
        return Empty()

    async def DownloadReport(
        self, request: pb.DownloadReportRequest, context: Context
    ) -> AsyncIterator[pb.DownloadReportResponse]:
        (evaluation,) = names.parse(request.name, EVALUATION)
        async for piece in self._evaluations.report(evaluation):
            yield pb.DownloadReportResponse(data=piece)

    async def ListCalibrations(
        self, request: pb.ListCalibrationsRequest, context: Context
    ) -> pb.ListCalibrationsResponse:
        (catalog,) = names.parse(request.parent, "catalogs/*", "parent")
        found = await self._evaluations.calibrations(catalog)
        messages = [calibration_message(record, model) for record, model in found]
        return pb.ListCalibrationsResponse(calibrations=messages)

    async def DeleteCalibration(
        self, request: pb.DeleteCalibrationRequest, context: Context
    ) -> Empty:
        await self._evaluations.delete_calibration(*names.parse(request.name, CALIBRATION))
        return Empty()

    def _page(self, request: pb.ListDatasetsRequest | pb.ListEvaluationsRequest) -> Page:
        limits = self._limits
        size, token = request.page_size, request.page_token
        return read_page(request, size, token, limits.page_size, limits.max_page_size)
