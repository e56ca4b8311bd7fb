"""The shards that measure models, explain their failures, and report on an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.coordinator.evaluation_pages import places_prefix
from services.coordinator.step import Step
from services.core.domain import keys, names
from services.core.domain.model import Model
from services.core.evaluation_messages import EvaluateModel, ExplainPairs, ReportEvaluation
from services.core.evaluation_ports import Evaluation
from services.core.message_base import Message
from services.core.work_ports import Shard, ShardState, Stage


def measure(step: Step, record: Evaluation, dataset: str, number: int, model: Model) -> None:
    """Has the model at place `number` measured on `dataset` (prefix)."""
    message = EvaluateModel(
        **_heading(step, "measure"),
        model=model.to_json(),
        dataset=dataset,
        places=places_prefix(step, number),
        results=keys.results_prefix(record.id, number),
        stages=record.stages,
        options=record.options,
    )
    _add(step, message, {"model": number})


def explain(
    step: Step, record: Evaluation, number: int, model: Model, pairs: Sequence[tuple[str, str]]
) -> None:
    """Has failures of the model at place `number` drawn, as its first embedder sees them."""
    results = keys.results_prefix(record.id, number)
    message = ExplainPairs(
        **_heading(step, "explain"),
        embedder=model.embedders[0].digest,
        pairs=tuple((query, image) for query, image in pairs),
        pictures=tuple(keys.failure_picture_key(results, at) for at in range(len(pairs))),
    )
    _add(step, message, {})


def report_on(
    step: Step, record: Evaluation, dataset: str, dataset_counts: Mapping[str, int]
) -> None:
    """Has all models compared, and the report written."""
    models = tuple(each.model for each in record.models)
    told = ", ".join(map(names.model_name, models))
    message = ReportEvaluation(
        **_heading(step, "report"),
        title=f"{told} on {names.dataset_name(record.dataset)}",
        dataset=dataset,
        models=models,
        results=tuple(keys.results_prefix(record.id, at) for at in range(len(models))),
        report=report_key(record.id),
        summary=f"{keys.evaluation_prefix(record.id)}summary.json",
        options=record.options,
        stages=record.stages,
        digests=tuple(each.digest for each in record.models),
        dataset_counts=dict(dataset_counts),
    )
    _add(step, message, {})


def report_key(evaluation: str) -> str:
    """The HTML file of an evaluation."""
    return f"{keys.evaluation_prefix(evaluation)}report.html"


def _heading(step: Step, what: str) -> dict[str, Any]:
    operation, sequence = step.operation, step.tx.shards.next_sequence(step.operation.id)
    return {
        "id": f"{operation.id}/{sequence}/{what}/0",
        "operation": operation.id,
        "revision": operation.revision,
    }


def _add(step: Step, message: Message, notes: dict[str, Any]) -> None:
    sequence = int(message.id.split("/")[1])
    shard = Shard(
        message.operation, sequence, Stage.EMBED, ShardState.READY, step.body(message), notes=notes
    )
    step.tx.shards.add([shard])
