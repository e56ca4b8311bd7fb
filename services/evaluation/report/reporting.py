"""From the results of an evaluation to its figures and its report."""

import json
from typing import Any

import structlog

from services.core.domain.errors import InvalidArgument
from services.core.domain.evaluation import Difference, EvaluationOptions
from services.core.domain.stages import Stages
from services.core.evaluation_messages import ReportEvaluation
from services.core.outcomes import EvaluationReported
from services.core.ports import ObjectStore
from services.evaluation.report import curves
from services.evaluation.report.comparing import Comparison
from services.evaluation.report.failures import (
    Failure,
    Names,
    Shown,
    failures_of,
    product_names,
    with_pictures,
)
from services.evaluation.report.page import Evaluated, ModelFigures, report_page
from services.evaluation.report.pictures import Pictures
from services.evaluation.result_files import QueryResults, read_metrics, read_results
from services.imaging.decode_pool import DecodePool

_log = structlog.get_logger(__name__)


class Reporter:
    """Compares models and writes the report. Every call may be repeated: the same results give the
    same bytes, under the same keys.

    Holds the results of two models at a time, and a report, which is below 10 MB.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def report(self, message: ReportEvaluation) -> EvaluationReported:
        """Returns when the report and the figures are stored.

        Raises InvalidArgument (BAD_MESSAGE, OPTION_INVALID, STAGE_INVALID), NotFound or DataLoss
        (RESULTS_DAMAGED, RESULTS_DIFFER) for results that are missing, damaged, or of other
        queries.
        """
        _check(message)
        options = EvaluationOptions.from_json(message.options)
        stages = Stages.from_dict(json.loads(message.stages)).to_dict()
        models, differences, failures = self._compared(message, options)
        wanted = {
            product
            for model in failures
            for each in model
            for product in (each.product, each.found_product)
        }
        names: Names = product_names(self._objects, message.dataset, wanted) if wanted else {}
        shown = Evaluated(
            title=message.title,
            dataset="/".join(message.dataset.split("/")[:2]),  # without which making of it
            stages=stages,
            options=options,
            counts=_counts(message, models),
            models=models,
            differences=differences,
            failures=self._pictured(message, failures),
            names=names,
        )
        self._objects.put(message.summary, _summary(shown))
        page = "".join(report_page(shown)).encode("utf-8", "replace")
        self._objects.put(message.report, page)
        _log.info("evaluation.reported", models=len(models), bytes=len(page))
        return EvaluationReported(differences=tuple(each.to_dict() for each in differences))

    def _compared(
        self, message: ReportEvaluation, options: EvaluationOptions
    ) -> tuple[list[ModelFigures], list[Difference], list[list[Failure]]]:
        """What is shown of each model, of all but the first against that, and of each one's
        failures."""
        models: list[ModelFigures] = []
        differences: list[Difference] = []
        failures: list[list[Failure]] = []
        comparison: Comparison | None = None
        for number, prefix in enumerate(message.results):
            results = read_results(self._objects, prefix)
            if comparison is None:
                comparison = Comparison(results, options)
            else:
                differences.append(comparison.with_model(number, results))
            models.append(self._figures(message, number, results))
            failures.append(failures_of(results, options.failures))
        return models, differences, failures

    def _figures(
        self, message: ReportEvaluation, number: int, results: QueryResults
    ) -> ModelFigures:
        return ModelFigures(
            name=message.models[number],
            digest=message.digests[number] if message.digests else "",
            queries=len(results),
            metrics=read_metrics(self._objects, message.results[number]),
            histogram=curves.score_histogram(results),
            accepting=curves.accepting(results),
            reliability=curves.reliability(results),
        )

    def _pictured(
        self, message: ReportEvaluation, failures: list[list[Failure]]
    ) -> list[list[Shown]]:
        if not any(failures):
            return [[] for _ in failures]
        with DecodePool(1, reserved=0) as pool:
            pictures = Pictures(self._objects, pool)
            return [
                with_pictures(each, prefix, pictures)
                for each, prefix in zip(failures, message.results, strict=True)
            ]


def _check(message: ReportEvaluation) -> None:
    count = len(message.models)
    if not count or count != len(message.results) or len(message.digests) not in (0, count):
        raise InvalidArgument(
            f"{message.TASK}: {count} models, {len(message.results)} results and "
            f"{len(message.digests)} digests do not fit",
            reason="BAD_MESSAGE",
        )


def _counts(message: ReportEvaluation, models: list[ModelFigures]) -> dict[str, int]:
    """As outcomes.DatasetFrozen; what the message does not tell is taken from the figures."""
    metrics = models[0].metrics
    return {
        "queries": models[0].queries,
        "absent": metrics.absent,
        "gallery": metrics.gallery_images,
        "products": metrics.gallery_products,
    } | dict(message.dataset_counts)


def _summary(shown: Evaluated) -> bytes:
    figures: dict[str, Any] = {
        "title": shown.title,
        "dataset": shown.dataset,
        "counts": dict(shown.counts),
        "stages": shown.stages,
        "options": json.loads(shown.options.to_json()),
        "models": [
            {"model": each.name, "digest": each.digest, "metrics": each.metrics.to_dict()}
            for each in shown.models
        ],
        "differences": [each.to_dict() for each in shown.differences],
    }
    return json.dumps(figures, indent=1, allow_nan=False).encode()
