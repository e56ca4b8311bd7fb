"""Datasets, evaluations and calibrations between domain and proto."""

import json
from collections.abc import Mapping
from typing import Any

from services.core.domain import names
from services.core.domain.errors import InvalidArgument
from services.core.domain.evaluation import Difference, Estimate, EvaluationOptions, Metrics
from services.core.domain.operations import OperationState
from services.core.domain.stages import Stages
from services.core.evaluation_ports import CalibrationRecord, Dataset, EvaluatedModel
from services.gateway.handlers.datasets import NewDataset
from services.gateway.handlers.evaluations import NewEvaluation, Watched
from services.gateway.servicers.conversions import timestamp
from services.gateway.servicers.stage_conversions import stages_message, stages_of
from shelflens.v1 import evaluation_pb2 as pb

DATASET = "datasets/*"
EVALUATION = "evaluations/*"
CALIBRATION = "catalogs/*/calibrations/*"
_STATES = {each: pb.WorkState.Value(f"WORK_STATE_{each.value}") for each in OperationState}
_DEFAULT = EvaluationOptions()
_ESTIMATES = (
    "classifier",
    "expected_calibration_error",
    "coverage",
    "accepted_precision",
    "absent_accepted",
)


def read_dataset(request: pb.CreateDatasetRequest) -> NewDataset:
    """Raises InvalidArgument."""
    (catalog,) = names.parse(request.catalog, "catalogs/*", "catalog")
    owner, manifest = names.parse(request.queries, "catalogs/*/manifests/*", "queries")
    if owner != catalog:
        raise InvalidArgument.field(
            "queries", f"is not of {names.catalog_name(catalog)}", reason="OTHER_CATALOG"
        )
    return NewDataset(
        id=request.dataset_id,
        catalog=catalog,
        manifest=manifest,
        allow_absent=request.allow_absent,
        display_name=request.display_name,
    )


def dataset_message(dataset: Dataset) -> pb.Dataset:
    counts = dataset.counts
    return pb.Dataset(
        name=names.dataset_name(dataset.id),
        catalog=names.catalog_name(dataset.catalog),
        display_name=dataset.display_name,
        allow_absent=dataset.allow_absent,
        state=_STATES[dataset.state],
        query_count=counts.get("queries", 0),
        gallery_count=counts.get("gallery", 0),
        product_count=counts.get("products", 0),
        absent_count=counts.get("absent", 0),
        left_out_by_hash=counts.get("left_out_by_hash", 0),
        left_out_near=counts.get("left_out_near", 0),
        create_time=timestamp(dataset.create_time),
        error_reason=dataset.error_reason,
        error_message=dataset.error_message,
        operation=names.operation_name(dataset.operation),
    )


def read_evaluation(request: pb.CreateEvaluationRequest) -> NewEvaluation:
    """Raises InvalidArgument."""
    (dataset,) = names.parse(request.dataset, DATASET, "dataset")
    return NewEvaluation(
        dataset=dataset,
        models=tuple(names.parse(each, "models/*", "models")[0] for each in request.models),
        stages=stages_of(request.stages),
        options=_options(request.options),
    )


def evaluation_message(watched: Watched) -> pb.Evaluation:
    each = watched.evaluation
    return pb.Evaluation(
        name=names.evaluation_name(each.id),
        dataset=names.dataset_name(each.dataset),
        models=[names.model_name(model.model) for model in each.models],
        stages=stages_message(Stages.from_dict(json.loads(each.stages))),
        options=_options_message(EvaluationOptions.from_json(each.options)),
        state=_STATES[each.state],
        metrics=[_metrics(model) for model in each.models if model.metrics],
        differences=[_difference(found, each.models) for found in each.differences],
        has_report=bool(each.report),
        create_time=timestamp(each.create_time),
        end_time=timestamp(each.end_time),
        error_reason=each.error_reason,
        error_message=each.error_message,
        operation=names.operation_name(each.operation),
        step=watched.step,
    )


def calibration_message(record: CalibrationRecord, model: str) -> pb.Calibration:
    """`model` is the id of the model with that digest, or empty."""
    fitted = record.fitted
    return pb.Calibration(
        name=names.calibration_name(record.catalog, record.model_digest, record.stages),
        model=names.model_name(model) if model else "",
        model_digest=record.model_digest,
        stages=stages_message(Stages.from_dict(json.loads(record.stages))),
        method=fitted["method"],
        threshold=fitted["threshold"],
        precision=fitted["precision"],
        query_count=fitted["queries"],
        gallery_count=fitted["gallery_images"],
        absent_share=fitted["absent_share"],
        evaluation=names.evaluation_name(record.evaluation),
        create_time=timestamp(record.create_time),
    )


def _options(message: pb.EvaluationOptions) -> EvaluationOptions:
    """What is left 0 has its default."""
    return EvaluationOptions(
        ks=tuple(message.ks) or _DEFAULT.ks,
        resamples=message.resamples or _DEFAULT.resamples,
        confidence=message.confidence or _DEFAULT.confidence,
        seed=message.seed,
        classifier=message.classifier,
        calibrate=message.calibrate,
        precision=message.precision or _DEFAULT.precision,
    )


def _options_message(options: EvaluationOptions) -> pb.EvaluationOptions:
    return pb.EvaluationOptions(
        ks=options.ks,
        resamples=options.resamples,
        confidence=options.confidence,
        seed=options.seed,
        classifier=options.classifier,
        calibrate=options.calibrate,
        precision=options.precision,
    )


def _metrics(model: EvaluatedModel) -> pb.ModelMetrics:
    metrics = Metrics.from_dict(model.metrics)
    message = pb.ModelMetrics(
        model=names.model_name(model.model),
        model_digest=model.digest,
        query_count=metrics.queries,
        absent_count=metrics.absent,
        gallery_count=metrics.gallery_images,
        product=_estimates(metrics.product),
        image=_estimates(metrics.image),
        class_mean=metrics.class_mean,
        categories=[
            pb.CategoryScore(category=name, recall_at_1=value, query_count=count)
            for name, (value, count) in metrics.per_category.items()
        ],
    )
    for name in _ESTIMATES:
        if (found := getattr(metrics, name)) is not None:
            getattr(message, name).CopyFrom(_estimate(found))
    return message


def _difference(found: Mapping[str, Any], models: tuple[EvaluatedModel, ...]) -> pb.ModelDifference:
    each = Difference.from_dict(found)
    return pb.ModelDifference(
        baseline=names.model_name(models[each.baseline].model),
        model=names.model_name(models[each.model].model),
        metrics=_estimates(each.metrics),
    )


def _estimates(found: Mapping[str, Estimate]) -> dict[str, pb.Estimate]:
    return {name: _estimate(each) for name, each in found.items()}


def _estimate(each: Estimate) -> pb.Estimate:
    return pb.Estimate(value=each.value, low=each.low, high=each.high)
