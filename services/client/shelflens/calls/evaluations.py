"""Datasets, evaluations and calibrations. Names work with and without their collection in front."""

from collections.abc import Sequence

from shelflens import convert, values
from shelflens.calls.call import Call, Pages, new_request_id, nothing
from shelflens.convert.stages import stages_message
from shelflens.names import catalog_name, dataset_id, dataset_name, evaluation_name, model_name
from shelflens.v1 import evaluation_pb2 as pb


def create_dataset(
    dataset: str,
    catalog: str,
    manifest: str,
    *,
    allow_absent: bool = False,
    display_name: str = "",
) -> Call[values.Dataset]:
    """Starts to freeze the rows of an uploaded `manifest` as queries, and the images of `catalog`
    as the gallery. `Client.make_dataset` uploads a file first.

    With `allow_absent`, queries whose product has no image in the gallery are kept.
    """
    request = pb.CreateDatasetRequest(
        dataset_id=dataset_id(dataset),
        catalog=catalog_name(catalog),
        queries=manifest,
        allow_absent=allow_absent,
        display_name=display_name,
        request_id=new_request_id(),
    )
    return Call("evaluations", "CreateDataset", request, convert.dataset)


def get_dataset(dataset: str) -> Call[values.Dataset]:
    """Reads one dataset."""
    request = pb.GetDatasetRequest(name=dataset_name(dataset))
    return Call("evaluations", "GetDataset", request, convert.dataset)


def list_datasets(*, page_size: int = 0) -> Pages[values.Dataset]:
    """All datasets, in the order of their names."""
    request = pb.ListDatasetsRequest(page_size=page_size)
    return Pages("evaluations", "ListDatasets", request, "datasets", convert.dataset)


def delete_dataset(dataset: str) -> Call[None]:
    """Removes a dataset that no evaluation is running on."""
    request = pb.DeleteDatasetRequest(name=dataset_name(dataset))
    return Call("evaluations", "DeleteDataset", request, nothing)


def create_evaluation(
    dataset: str,
    models: Sequence[str],
    *,
    stages: values.RankingStages | None = None,
    ks: Sequence[int] = (),
    classifier: bool = False,
    calibrate: str = "",
    precision: float = 0.0,
    resamples: int = 0,
    confidence: float = 0.0,
    seed: int = 0,
) -> Call[values.Evaluation]:
    """Starts to measure `models` on a dataset; the first is what the others are compared with.

    `ks` are the ranks of the metrics (1, 5, 10). `classifier` adds the accuracy of a logistic
    regression. `calibrate` (isotonic or platt) makes the scores of each model, with these stages,
    probabilities in the dataset's catalogue; a share of `precision` (0.95) of the answers that it
    accepts is to be right. Intervals are of `confidence` (0.95) by `resamples` (1,000).
    """
    request = pb.CreateEvaluationRequest(
        dataset=dataset_name(dataset),
        models=[model_name(each) for each in models],
        stages=stages_message(stages) if stages else None,
        options=pb.EvaluationOptions(
            ks=ks,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
            classifier=classifier,
            calibrate=calibrate,
            precision=precision,
        ),
        request_id=new_request_id(),
    )
    return Call("evaluations", "CreateEvaluation", request, convert.evaluation)


def get_evaluation(evaluation: str) -> Call[values.Evaluation]:
    """Reads one evaluation."""
    request = pb.GetEvaluationRequest(name=evaluation_name(evaluation))
    return Call("evaluations", "GetEvaluation", request, convert.evaluation)


def list_evaluations(dataset: str = "", *, page_size: int = 0) -> Pages[values.Evaluation]:
    """Evaluations, newest first, all or those on one dataset."""
    name = dataset_name(dataset) if dataset else ""
    request = pb.ListEvaluationsRequest(dataset=name, page_size=page_size)
    return Pages("evaluations", "ListEvaluations", request, "evaluations", convert.evaluation)


def cancel_evaluation(evaluation: str) -> Call[values.Evaluation]:
    """Stops an evaluation; one that is done stays as it is."""
    request = pb.CancelEvaluationRequest(name=evaluation_name(evaluation))
    return Call("evaluations", "CancelEvaluation", request, convert.evaluation)


def delete_evaluation(evaluation: str) -> Call[None]:
    """Removes an evaluation that is done, with its report."""
    request = pb.DeleteEvaluationRequest(name=evaluation_name(evaluation))
    return Call("evaluations", "DeleteEvaluation", request, nothing)


def list_calibrations(catalog: str) -> Call[tuple[values.Calibration, ...]]:
    """The calibrations of a catalogue, newest first."""
    request = pb.ListCalibrationsRequest(parent=catalog_name(catalog))
    return Call("evaluations", "ListCalibrations", request, _calibrations)


def delete_calibration(calibration: str) -> Call[None]:
    """Removes a calibration, by its full name: answers have no probability any more."""
    request = pb.DeleteCalibrationRequest(name=calibration)
    return Call("evaluations", "DeleteCalibration", request, nothing)


def watch_request(evaluation: str) -> pb.WatchEvaluationRequest:
    """Of WatchEvaluation."""
    return pb.WatchEvaluationRequest(name=evaluation_name(evaluation))


def report_request(evaluation: str) -> pb.DownloadReportRequest:
    """Of DownloadReport."""
    return pb.DownloadReportRequest(name=evaluation_name(evaluation))


def _calibrations(answer: pb.ListCalibrationsResponse) -> tuple[values.Calibration, ...]:
    return tuple(convert.calibration(each) for each in answer.calibrations)
