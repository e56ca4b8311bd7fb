"""The order in which the reports of an operation are applied."""

from services.coordinator.creating import apply_model
from services.coordinator.deploying import apply_deploy
from services.coordinator.embed_stage import apply_embed
from services.coordinator.evaluating import apply_evaluation
from services.coordinator.freezing import apply_dataset
from services.coordinator.index_stage import apply_index
from services.coordinator.ingest_stage import apply_ingest
from services.coordinator.manifest_stage import apply_manifest
from services.coordinator.step import Step
from services.core.domain.operations import OperationKind, OperationState


def apply_reports(step: Step) -> None:
    """Applies what is reported and whose turn it is.

    Ingest and embed reports are applied in the order of the rows, so that the first row of a
    SKU is the first in the manifest whatever order the workers finish in.
    """
    match step.operation.kind:
        case OperationKind.DEPLOY:
            apply_deploy(step)
        case OperationKind.CREATE_MODEL:
            apply_model(step)
        case OperationKind.CREATE_DATASET:
            apply_dataset(step)
        case OperationKind.EVALUATE:
            apply_evaluation(step)
        case _:
            while apply_manifest(step) or apply_ingest(step) or apply_embed(step):
                _stop_after_too_many_errors(step)
    apply_index(step)


def _stop_after_too_many_errors(step: Step) -> None:
    """What is in the records already goes through; the operation fails with the reason."""
    operation = step.operation
    most, rejected = step.rules.max_errors, operation.counts.rows_rejected
    if most is None or rejected <= most or operation.state is not OperationState.RUNNING:
        return
    operation.error_reason = "TOO_MANY_ERRORS"
    operation.error_message = (
        f"{rejected} rows were rejected, more than the {most} allowed; "
        f"{operation.counts.rows_accepted} rows before that stay imported"
    )
    operation.state = OperationState.CANCELLING
    step.drop_unapplied()
