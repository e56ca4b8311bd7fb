"""Evaluations: what models lack of a dataset is embedded, then each of them is measured.

embedding -> searching -> explaining -> reporting

Everything is in the records and files, page by page: a coordinator that is killed goes on where it
was, and a dataset of any size takes the same memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from services.coordinator.evaluation_pages import (
    EMBEDDED,
    PLACED,
    embed_pages,
    is_through,
    place_pages,
)
from services.coordinator.evaluation_shards import explain, measure, report_key, report_on
from services.coordinator.filling import apply_filled
from services.coordinator.step import Step
from services.core.domain import keys
from services.core.domain.errors import NotFound
from services.core.domain.external_model import is_external, no_embedder
from services.core.domain.model import Model
from services.core.domain.operations import Operation, OperationState
from services.core.evaluation_messages import EvaluateModel, ExplainPairs, ReportEvaluation
from services.core.evaluation_ports import CalibrationRecord, EvaluatedModel, Evaluation
from services.core.outcomes import EvaluationReported, ModelEvaluated
from services.core.record_ports import Records
from services.core.work_ports import Shard, Stage

EMBEDDING, SEARCHING, EXPLAINING, REPORTING = "embedding", "searching", "explaining", "reporting"
_AGAIN = "placed_again"  # in the result: an erasure has moved embeddings before they were read
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is evaluated: `dataset` is the prefix of its pages, `counts` what it holds."""

    record: Evaluation
    models: tuple[Model, ...]
    dataset: str
    counts: Mapping[str, int]


def start_evaluation(step: Step) -> None:
    """Notes that it is being done."""
    step.operation.result = {"step": EMBEDDING}
    with step.failing():
        record = _work(step).record
        step.tx.evaluations.save(replace(record, state=OperationState.RUNNING))


def apply_evaluation(step: Step) -> None:
    """Takes what workers report, and gives them more to embed."""
    with step.failing():
        while apply_filled(step, _take):
            pass
        if not step.is_over() and not is_through(step, EMBEDDED):
            work = _work(step)
            embed_pages(step, work.dataset, work.models)


def go_on(step: Step) -> bool:
    """When no shard is left: what comes next; True at the end."""
    with step.failing():
        if not step.is_over():
            return _next(step, _work(step))
    return True


def close_evaluation(tx: Records, operation: Operation) -> None:
    """The operation has ended; so does the evaluation, in the same state. What it calibrated
    answers from now on, if all of it succeeded."""
    try:
        record = tx.evaluations.get(operation.request["evaluation"])
    except NotFound:
        return  # it went with its catalogue
    assert operation.end_time is not None
    ended = replace(
        record,
        state=operation.state,
        end_time=operation.end_time,
        error_reason=operation.error_reason,
        error_message=operation.error_message,
    )
    tx.evaluations.save(ended)
    if operation.state is not OperationState.SUCCEEDED:
        return
    for each in record.models:
        if each.calibration:
            tx.calibrations.put(
                CalibrationRecord(
                    catalog=record.catalog,
                    model_digest=each.digest,
                    stages=record.stages,
                    evaluation=record.id,
                    fitted=each.calibration,
                    create_time=operation.end_time,
                )
            )


def _work(step: Step) -> _Work:
    """Raises NotFound for what is gone, FailedPrecondition (MODEL_HAS_NO_EMBEDDER)."""
    tx = step.tx
    record = tx.evaluations.get(step.operation.request["evaluation"])
    dataset = tx.datasets.get(record.dataset)
    models = tuple(_model(tx, each) for each in record.models)
    prefix = keys.dataset_prefix(dataset.id, dataset.build)
    return _Work(record, models, prefix, dataset.counts)


def _model(tx: Records, evaluated: EvaluatedModel) -> Model:
    spec = tx.models.spec(evaluated.digest)
    if is_external(spec):
        raise no_embedder(evaluated.model)
    return Model.from_dict(spec)


def _next(step: Step, work: _Work) -> bool:
    match step.operation.result["step"]:
        case "embedding" if is_through(step, EMBEDDED):
            place_pages(step, work.dataset, work.models)
            if is_through(step, PLACED):
                _search(step, work)
        case "searching":
            _explain(step, work)
        case "explaining":
            _to(step, REPORTING)
            report_on(step, work.record, work.dataset, work.counts)
        case "reporting":
            return True
    return False


def _to(step: Step, name: str) -> None:
    _log.info("evaluation.step", operation=step.operation.id, step=name)
    step.operation.result = step.operation.result | {"step": name}


def _search(step: Step, work: _Work) -> None:
    _to(step, SEARCHING)
    for number, model in enumerate(work.models):
        if not work.record.models[number].metrics:
            measure(step, work.record, work.dataset, number, model)


def _explain(step: Step, work: _Work) -> None:
    """Has the failures of every model drawn, or goes past that where there are none."""
    _to(step, EXPLAINING)
    for number, sequence in enumerate(_measured(step, len(work.models))):
        shard = step.tx.shards.get(step.operation.id, sequence)
        pairs = shard.notes["pairs"] if shard is not None else []
        if pairs:
            explain(step, work.record, number, work.models[number], pairs)
    if not step.tx.shards.unfinished(step.operation.id):
        _next(step, work)


def _measured(step: Step, models: int) -> Sequence[int]:
    """The sequence of the shard that measured each model, in their order."""
    found: dict[str, int] = step.operation.result["measured"]
    return [found[str(number)] for number in range(models)]


def _take(step: Step, shard: Shard) -> None:
    assert shard.report is not None
    task, outcome = shard.message["task"], shard.report["outcome"]
    shard.stage = Stage.DONE
    if failure := shard.report["failure"]:
        _take_failure(step, task, failure, shard.report["failure_message"])
    elif task == EvaluateModel.TASK:
        _take_measured(step, shard, ModelEvaluated(**outcome))
    elif task == ReportEvaluation.TASK:
        _take_report(step, EvaluationReported(**outcome))


def _take_failure(step: Step, task: str, reason: str, message: str) -> None:
    result = step.operation.result
    if task == ExplainPairs.TASK:
        _log.warning("evaluation.unexplained", operation=step.operation.id, reason=reason)
    elif task == EvaluateModel.TASK and reason == NotFound.default_reason and _AGAIN not in result:
        _log.info("evaluation.placed_again", operation=step.operation.id, error=message)
        step.tx.shards.drop(step.operation.id, Stage.EMBED)
        step.operation.result = result | {_AGAIN: True, "step": EMBEDDING, PLACED: [0, 0]}
    else:
        step.fail(reason, message)


def _take_measured(step: Step, shard: Shard, outcome: ModelEvaluated) -> None:
    number: int = shard.notes["model"]
    shard.notes["pairs"] = [list(pair) for pair in outcome.failures]
    measured = step.operation.result.get("measured", {}) | {str(number): shard.sequence}
    step.operation.result = step.operation.result | {"measured": measured}
    record = step.tx.evaluations.get(step.operation.request["evaluation"])
    models = list(record.models)
    models[number] = replace(
        models[number], metrics=outcome.metrics, calibration=outcome.calibration
    )
    step.tx.evaluations.save(replace(record, models=tuple(models)))
    _log.info("evaluation.measured", evaluation=record.id, model=models[number].model)


def _take_report(step: Step, outcome: EvaluationReported) -> None:
    record = step.tx.evaluations.get(step.operation.request["evaluation"])
    done = replace(record, report=report_key(record.id), differences=tuple(outcome.differences))
    step.tx.evaluations.save(done)
