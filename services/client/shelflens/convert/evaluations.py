"""Datasets, evaluations and calibrations."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from shelflens import values
from shelflens.convert.fields import state, time
from shelflens.convert.stages import stages
from shelflens.v1 import evaluation_pb2 as pb

_PREFIX = "WORK_STATE_"


def dataset(message: pb.Dataset) -> values.Dataset:
    return values.Dataset(
        name=message.name,
        catalog=message.catalog,
        display_name=message.display_name,
        allow_absent=message.allow_absent,
        state=state(pb.WorkState, message.state, _PREFIX),
        query_count=message.query_count,
        gallery_count=message.gallery_count,
        product_count=message.product_count,
        absent_count=message.absent_count,
        left_out_by_hash=message.left_out_by_hash,
        left_out_near=message.left_out_near,
        create_time=time(message, "create_time"),
        error_reason=message.error_reason,
        error_message=message.error_message,
        operation=message.operation,
    )


def evaluation(message: pb.Evaluation) -> values.Evaluation:
    options = message.options
    return values.Evaluation(
        name=message.name,
        dataset=message.dataset,
        models=tuple(message.models),
        stages=stages(message.stages),
        options=values.EvaluationOptions(
            ks=tuple(options.ks),
            resamples=options.resamples,
            confidence=options.confidence,
            seed=options.seed,
            classifier=options.classifier,
            calibrate=options.calibrate,
            precision=options.precision,
        ),
        state=state(pb.WorkState, message.state, _PREFIX),
        step=message.step,
        metrics=tuple(_metrics(each) for each in message.metrics),
        differences=tuple(
            values.ModelDifference(each.baseline, each.model, _estimates(each.metrics))
            for each in message.differences
        ),
        has_report=message.has_report,
        create_time=time(message, "create_time"),
        end_time=time(message, "end_time"),
        error_reason=message.error_reason,
        error_message=message.error_message,
        operation=message.operation,
    )


def calibration(message: pb.Calibration) -> values.Calibration:
    return values.Calibration(
        name=message.name,
        model=message.model,
        model_digest=message.model_digest,
        stages=stages(message.stages),
        method=message.method,
        threshold=message.threshold,
        precision=message.precision,
        query_count=message.query_count,
        gallery_count=message.gallery_count,
        absent_share=message.absent_share,
        evaluation=message.evaluation,
        create_time=time(message, "create_time"),
    )


def dataset_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    """Of the operation that makes a dataset."""
    message = pb.CreateDatasetMetadata()
    packed.Unpack(message)
    found = {"target": message.dataset, "create_time": time(message, "create_time")}
    return "create_dataset", found


def evaluate_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    """Of the operation that does an evaluation."""
    message = pb.EvaluateMetadata()
    packed.Unpack(message)
    found = {"target": message.evaluation, "create_time": time(message, "create_time")}
    return "evaluate", found


def _metrics(message: pb.ModelMetrics) -> values.ModelMetrics:
    return values.ModelMetrics(
        model=message.model,
        model_digest=message.model_digest,
        query_count=message.query_count,
        absent_count=message.absent_count,
        gallery_count=message.gallery_count,
        product=_estimates(message.product),
        image=_estimates(message.image),
        class_mean=message.class_mean,
        categories=tuple(
            values.CategoryScore(each.category, each.recall_at_1, each.query_count)
            for each in message.categories
        ),
        classifier=_optional(message, "classifier"),
        expected_calibration_error=_optional(message, "expected_calibration_error"),
        coverage=_optional(message, "coverage"),
        accepted_precision=_optional(message, "accepted_precision"),
        absent_accepted=_optional(message, "absent_accepted"),
    )


def _estimates(messages: Mapping[str, pb.Estimate]) -> dict[str, values.Estimate]:
    return {name: _estimate(messages[name]) for name in sorted(messages)}


def _optional(message: Message, field: str) -> values.Estimate | None:
    return _estimate(getattr(message, field)) if message.HasField(field) else None


def _estimate(message: pb.Estimate) -> values.Estimate:
    return values.Estimate(message.value, message.low, message.high)
