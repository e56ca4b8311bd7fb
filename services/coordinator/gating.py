"""Gates: before a new collection is filled, its model is measured against the live one."""

import structlog

from services.coordinator.step import Step
from services.core.domain import names
from services.core.domain.errors import NotFound
from services.core.domain.evaluation import (
    Difference,
    Estimate,
    EvaluationOptions,
    Gate,
    Metrics,
)
from services.core.domain.evaluation_requests import evaluation_request
from services.core.domain.operations import Operation, OperationKind, OperationState
from services.core.domain.stages import Stages
from services.core.evaluation_ports import EvaluatedModel, Evaluation
from services.core.record_ports import Records

_KEY = "evaluation"  # in the result of a deploy: the id of the evaluation that its gate waits for
_log = structlog.get_logger(__name__)


def passes(step: Step, gate: Gate) -> bool:
    """Whether the deploy may go on; until the evaluation is done it may not. Fails the operation
    with EVALUATION_GATE or GATE_NOT_EVALUATED."""
    made = step.operation.result.get(_KEY)
    if made is None:
        with step.failing():
            _evaluate(step, gate)
        return False
    try:
        record = step.tx.evaluations.get(made)
    except NotFound as error:
        _not_evaluated(step, error.reason, error.message)
        return False
    if not record.state.done:
        return False
    if record.state is not OperationState.SUCCEEDED:
        reason = record.error_reason or record.state
        _not_evaluated(step, reason, record.error_message)
        return False
    return _judge(step, gate, record)


def close_gate(tx: Records, operation: Operation) -> None:
    """The deploy has ended: nobody waits for its evaluation any more."""
    made = operation.result.get(_KEY)
    if made is None:
        return
    try:
        record = tx.evaluations.get(made)
        if not record.state.done:
            assert operation.end_time is not None
            tx.operations.cancel(record.operation, operation.end_time)
    except NotFound:
        return  # it went with its catalogue


def _evaluate(step: Step, gate: Gate) -> None:
    """Raises NotFound (DATASET_NOT_FOUND)."""
    tx, operation = step.tx, step.operation
    tx.datasets.get(gate.dataset)
    live = tx.catalogs.deployment(operation.catalog)
    rank = int(gate.metric.partition("@")[2])
    options = EvaluationOptions(ks=tuple(sorted({*EvaluationOptions().ks, rank})))
    made = names.new_id()
    request = evaluation_request(made)
    evaluates = tx.operations.create(
        OperationKind.EVALUATE, operation.catalog, operation.revision, request, step.now
    )
    record = Evaluation(
        id=made,
        dataset=gate.dataset,
        catalog=operation.catalog,
        stages=Stages().key,
        options=options.to_json(),
        models=(
            EvaluatedModel(live.model, live.model_digest),
            EvaluatedModel(operation.request["model"], operation.request["model_digest"]),
        ),
        operation=evaluates.id,
        state=OperationState.QUEUED,
        create_time=step.now,
    )
    tx.evaluations.add(record)
    operation.result = operation.result | {_KEY: made}
    _log.info("gate.evaluating", operation=operation.id, evaluation=made)


def _not_evaluated(step: Step, reason: str, message: str) -> None:
    evaluation = names.evaluation_name(step.operation.result[_KEY])
    told = f"{evaluation} of the gate came to nothing ({reason}): {message}"
    step.fail("GATE_NOT_EVALUATED", told)


def _judge(step: Step, gate: Gate, record: Evaluation) -> bool:
    difference = Difference.from_dict(record.differences[0]).metrics[gate.metric]
    passed = difference.value >= gate.minimum
    outcome = {
        "evaluation": names.evaluation_name(record.id),
        "metric": gate.metric,
        "minimum_difference": gate.minimum,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "passed": passed,
        "overridden": gate.override and not passed,
    }
    operation = step.operation
    step.tx.deployments.note_gate(operation.catalog, operation.request["deployment"], outcome)
    _log.info("gate.judged", operation=operation.id, **outcome)
    if not passed and not gate.override:
        step.fail("EVALUATION_GATE", _refusal(gate, record, difference))
    return passed or gate.override


def _refusal(gate: Gate, record: Evaluation, difference: Estimate) -> str:
    old, new = record.models
    reached = Metrics.from_dict(new.metrics).product[gate.metric].value
    side, low, high = "above", difference.low, difference.high
    if difference.value < 0:
        side, low, high = "below", -difference.high, -difference.low
    return (
        f"{gate.metric} of {names.model_name(new.model)} on {names.dataset_name(gate.dataset)} is "
        f"{reached:.3f}, {abs(difference.value):.3f} ({low:.3f} to {high:.3f}) {side} "
        f"{names.model_name(old.model)}; at least {gate.minimum:+.3f} is asked for: deploy with "
        "--override to do it anyway"
    )
