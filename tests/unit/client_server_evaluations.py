# ruff: noqa: N802 - the methods are named by the contract
"""The datasets, evaluations and calibrations of the tests' server."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.empty_pb2 import Empty

from shelflens.v1 import evaluation_pb2 as pb
from tests.unit.test_client_server_state import ServerState

REPORT = b"<!doctype html>" + bytes(3_000)


class EvaluationMethods(ServerState):
    """`asked` are the requests for evaluations. Datasets and evaluations are done at once, but
    evaluations are first watched through `steps`; `failure` is the reason why both fail."""

    def __init__(self) -> None:
        super().__init__()
        self.datasets: dict[str, pb.Dataset] = {}
        self.evaluations: dict[str, pb.Evaluation] = {}
        self.calibrations: dict[str, pb.Calibration] = {}
        self.asked: list[pb.CreateEvaluationRequest] = []
        self.frozen: list[pb.CreateDatasetRequest] = []
        self.steps = ["embedding", "searching"]
        self.failure = ""

    def CreateDataset(self, request: pb.CreateDatasetRequest, context: Any) -> Any:
        self.enter("CreateDataset", context, request)
        self.frozen.append(request)
        name = f"datasets/{request.dataset_id}"
        if name in self.datasets:
            self.fail(context, "ALREADY_EXISTS", "DATASET_EXISTS", f"{name} exists")
        operation = self.start(pb.CreateDatasetMetadata(dataset=name))
        operation.done = True
        operation.response.Pack(Empty())
        made = pb.Dataset(
            name=name,
            catalog=request.catalog,
            display_name=request.display_name,
            state=pb.WORK_STATE_FAILED if self.failure else pb.WORK_STATE_SUCCEEDED,
            query_count=8,
            gallery_count=20,
            product_count=5,
            left_out_by_hash=2,
            left_out_near=1,
            error_reason=self.failure,
            error_message=self.failure and "it is not good",
            operation=operation.name,
        )
        self.datasets[name] = made
        return made

    def GetDataset(self, request: pb.GetDatasetRequest, context: Any) -> Any:
        self.enter("GetDataset", context)
        return self.find(context, "datasets", request.name)

    def ListDatasets(self, request: pb.ListDatasetsRequest, context: Any) -> Any:
        self.enter("ListDatasets", context)
        items, token = self.page(request, self.datasets)
        return pb.ListDatasetsResponse(datasets=items, next_page_token=token)

    def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: Any) -> Any:
        self.enter("DeleteDataset", context)
        self.find(context, "datasets", request.name)
        del self.datasets[request.name]
        return Empty()

    def CreateEvaluation(self, request: pb.CreateEvaluationRequest, context: Any) -> Any:
        self.enter("CreateEvaluation", context, request)
        self.find(context, "datasets", request.dataset)
        self.asked.append(request)
        operation = self.start(pb.EvaluateMetadata(step="embedding"))
        made = pb.Evaluation(
            name=f"evaluations/e{len(self.evaluations)}",
            dataset=request.dataset,
            models=request.models,
            stages=request.stages,
            options=request.options,
            state=pb.WORK_STATE_QUEUED,
            operation=operation.name,
        )
        made.create_time.FromSeconds(1_700_000_000)
        self.evaluations[made.name] = made
        return made

    def GetEvaluation(self, request: pb.GetEvaluationRequest, context: Any) -> Any:
        self.enter("GetEvaluation", context)
        return self.find(context, "evaluations", request.name)

    def ListEvaluations(self, request: pb.ListEvaluationsRequest, context: Any) -> Any:
        self.enter("ListEvaluations", context)
        items, token = self.page(request, self.evaluations)
        return pb.ListEvaluationsResponse(evaluations=items, next_page_token=token)

    def WatchEvaluation(
        self, request: pb.WatchEvaluationRequest, context: Any
    ) -> Iterator[pb.Evaluation]:
        self.enter("WatchEvaluation", context)
        found = self.find(context, "evaluations", request.name)
        while self.steps:
            found.state, found.step = pb.WORK_STATE_RUNNING, self.steps.pop(0)
            yield found
        found.step = ""
        if self.failure:
            found.state, found.error_reason = pb.WORK_STATE_FAILED, self.failure
        else:
            self.succeed(found)
        yield found

    def succeed(self, evaluation: pb.Evaluation) -> None:
        evaluation.state, evaluation.has_report = pb.WORK_STATE_SUCCEEDED, True
        for each in evaluation.models:
            metrics = evaluation.metrics.add(model=each, query_count=8, class_mean=0.5)
            metrics.product["map@10"].CopyFrom(pb.Estimate(value=0.625, low=0.5, high=0.75))
            metrics.product["recall@1"].CopyFrom(pb.Estimate(value=0.5, low=0.25, high=0.75))
        for each in evaluation.models[1:]:
            less = evaluation.differences.add(baseline=evaluation.models[0], model=each)
            less.metrics["map@10"].CopyFrom(pb.Estimate(value=-0.125, low=-0.25, high=0.0))

    def CancelEvaluation(self, request: pb.CancelEvaluationRequest, context: Any) -> Any:
        self.enter("CancelEvaluation", context)
        found = self.find(context, "evaluations", request.name)
        found.state = pb.WORK_STATE_CANCELLING
        return found

    def DeleteEvaluation(self, request: pb.DeleteEvaluationRequest, context: Any) -> Any:
        self.enter("DeleteEvaluation", context)
        self.find(context, "evaluations", request.name)
        del self.evaluations[request.name]
        return Empty()

    def DownloadReport(self, request: pb.DownloadReportRequest, context: Any) -> Iterator[Any]:
        self.enter("DownloadReport", context)
        if not self.find(context, "evaluations", request.name).has_report:
            self.fail(context, "FAILED_PRECONDITION", "EVALUATION_UNFINISHED", "it is not done")
        for at in range(0, len(REPORT), 1_000):
            yield pb.DownloadReportResponse(data=REPORT[at : at + 1_000])

    def ListCalibrations(self, request: pb.ListCalibrationsRequest, context: Any) -> Any:
        self.enter("ListCalibrations", context)
        return pb.ListCalibrationsResponse(calibrations=self.calibrations.values())

    def DeleteCalibration(self, request: pb.DeleteCalibrationRequest, context: Any) -> Any:
        self.enter("DeleteCalibration", context)
        self.find(context, "calibrations", request.name)
        del self.calibrations[request.name]
        return Empty()
