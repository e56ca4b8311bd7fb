"""Long-running operations: their states, counts and legal moves."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from services.core.domain.errors import FailedPrecondition


class OperationKind(StrEnum):
    """What an operation does. Users see all but changes."""

    IMPORT = "import"
    DELETE_CATALOG = "delete_catalog"
    ERASE_CONTENT = "erase_content"
    CREATE_MODEL = "create_model"
    DEPLOY = "deploy"
    DROP_DEPLOYMENT = "drop_deployment"
    CREATE_DATASET = "create_dataset"
    EVALUATE = "evaluate"
    CHANGE = "change"  # one upload, update or delete of a product or image


VISIBLE_KINDS = (
    OperationKind.IMPORT,
    OperationKind.DELETE_CATALOG,
    OperationKind.ERASE_CONTENT,
    OperationKind.CREATE_MODEL,
    OperationKind.DEPLOY,
    OperationKind.DROP_DEPLOYMENT,
    OperationKind.CREATE_DATASET,
    OperationKind.EVALUATE,
)


class OperationState(StrEnum):
    """Where an operation is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"

    @property
    def done(self) -> bool:
        return self in (self.SUCCEEDED, self.FAILED, self.CANCELLED)


_MOVES: dict[OperationState, tuple[OperationState, ...]] = {
    OperationState.QUEUED: (
        OperationState.RUNNING,
        OperationState.CANCELLING,
        OperationState.FAILED,
        OperationState.SUCCEEDED,
    ),
    OperationState.RUNNING: (
        OperationState.SUCCEEDED,
        OperationState.FAILED,
        OperationState.CANCELLING,
    ),
    OperationState.CANCELLING: (OperationState.CANCELLED, OperationState.FAILED),
}


def check_move(operation: str, old: OperationState, new: OperationState) -> None:
    """Raises FailedPrecondition (ILLEGAL_TRANSITION) unless `old` may become `new`."""
    if new not in _MOVES.get(old, ()):
        raise FailedPrecondition(
            f"operations/{operation} is {old} and cannot become {new}",
            reason="ILLEGAL_TRANSITION",
            metadata={"operation": operation, "from": old, "to": new},
        )


@dataclass(slots=True)
class ImportCounts:
    """What became of rows and images; the fields are those of the proto message."""

    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    products_created: int = 0
    products_updated: int = 0
    products_unchanged: int = 0
    images_embedded: int = 0
    images_reused: int = 0
    images_refused: int = 0
    images_removed: int = 0
    points_indexed: int = 0
    products_removed: int = 0
    images_folded: int = 0
    images_withheld: int = 0
    rejected_by_reason: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        counts = cls(**data)
        counts.rejected_by_reason = Counter(counts.rejected_by_reason)
        return counts


@dataclass(slots=True)
class Operation:
    """An operation's record. `request` and `result` are JSON whose shape depends on the kind."""

    id: str
    kind: OperationKind
    catalog: str
    revision: int
    state: OperationState
    request: dict[str, Any]
    counts: ImportCounts
    create_time: datetime
    update_time: datetime
    end_time: datetime | None = None
    total_rows: int = 0
    result: dict[str, Any] = field(default_factory=dict)
    error_reason: str = ""
    error_message: str = ""
