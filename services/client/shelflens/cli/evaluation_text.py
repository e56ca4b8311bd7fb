"""What evaluations found, for people, as lines of text."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shelflens.cli.ranking import stages_text
from shelflens.cli.safe_text import safe_text

if TYPE_CHECKING:
    from shelflens.values import Estimate, Evaluation, ModelMetrics

# Others are in the JSON and in the report.
_SHOWN = ("recall", "map", "mar")
_CALIBRATED = (
    ("expected calibration error", "expected_calibration_error"),
    ("accepted", "coverage"),
    ("right of those accepted", "accepted_precision"),
    ("absent products accepted", "absent_accepted"),
)


def evaluation_lines(evaluation: "Evaluation") -> Iterator[str]:
    """All that is known about it."""
    yield (
        f"{evaluation.name}: {evaluation.state}, {evaluation.dataset}, "
        f"stages {stages_text(evaluation.stages)}"
    )
    if evaluation.step and not evaluation.done:
        yield f"step: {safe_text(evaluation.step)}"
    for found in evaluation.metrics:
        yield from _model_lines(found)
    for each in evaluation.differences:
        yield f"{each.model} less {each.baseline}:"
        for name in _shown(each.metrics):
            yield f"  {name:12} {_estimate(each.metrics[name], '+.4f')}"
    if evaluation.error_reason:
        yield f"error: {evaluation.error_reason}: {safe_text(evaluation.error_message)}"


def _model_lines(found: "ModelMetrics") -> Iterator[str]:
    yield (
        f"{found.model}: {found.query_count} queries, {found.gallery_count} gallery images"
        + (f", {found.absent_count} queries of absent products" if found.absent_count else "")
    )
    for name in _shown(found.product):
        image = found.image.get(name)
        beside = f"   images {_estimate(image)}" if image else ""
        yield f"  {name:12} {_estimate(found.product[name])}{beside}"
    yield f"  {'class mean':12} {found.class_mean:.4f}"
    if found.classifier:
        yield f"  {'classifier':12} {_estimate(found.classifier)}"
    for text, name in _CALIBRATED:
        if (value := getattr(found, name)) is not None:
            yield f"  {text}: {_estimate(value)}"


def _shown(metrics: "Mapping[str, Estimate]") -> list[str]:
    """Their names, by kind and rank."""

    def place(name: str) -> tuple[int, int]:
        kind, _, rank = name.partition("@")
        return _SHOWN.index(kind), int(rank)

    return sorted((each for each in metrics if each.partition("@")[0] in _SHOWN), key=place)


def _estimate(each: "Estimate", form: str = ".4f") -> str:
    return f"{each.value:{form}} ({each.low:{form}} to {each.high:{form}})"
