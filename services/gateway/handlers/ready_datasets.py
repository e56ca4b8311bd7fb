"""Which datasets a model can be measured on."""

from services.core.domain import names
from services.core.domain.errors import FailedPrecondition
from services.core.domain.evaluation import EvaluationOptions
from services.core.domain.operations import OperationState
from services.core.evaluation_ports import Dataset

LEAST_CALIBRATION = 100  # queries: half of them fit it


def check_dataset(dataset: Dataset, options: EvaluationOptions) -> None:
    """Raises FailedPrecondition (DATASET_UNFINISHED, DATASET_FAILED, TOO_FEW_QUERIES)."""
    name = names.dataset_name(dataset.id)
    if not dataset.state.done:
        raise FailedPrecondition(
            f"{name} is being made: wait with `shelflens operations wait "
            f"{names.operation_name(dataset.operation)}`",
            reason="DATASET_UNFINISHED",
            metadata={"dataset": dataset.id},
        )
    if dataset.state is not OperationState.SUCCEEDED:
        raise FailedPrecondition(
            f"{name} could not be made ({dataset.error_reason or dataset.state}): make it again",
            reason="DATASET_FAILED",
            metadata={"dataset": dataset.id},
        )
    queries = dataset.counts.get("queries", 0)
    if options.calibrate and queries < LEAST_CALIBRATION:
        raise FailedPrecondition(
            f"{name} has {queries} queries, a calibration needs at least {LEAST_CALIBRATION}: half "
            "of them fit it and half of them test it",
            reason="TOO_FEW_QUERIES",
            metadata={"dataset": dataset.id, "queries": str(queries)},
        )
