"""The records of work: operations, and the shards that are the coordinator's outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from services.core.domain.operations import Operation, OperationKind


class OperationRecords(Protocol):
    """Long-running operations."""

    def create(
        self,
        kind: OperationKind,
        catalog: str,
        revision: int,
        request: Mapping[str, Any],
        now: datetime,
    ) -> Operation:
        """A new QUEUED operation, which the coordinator finds."""

    def get(self, operation: str) -> Operation:
        """Raises NotFound (OPERATION_NOT_FOUND)."""

    def page(self, after: str, limit: int, catalog: str = "") -> list[Operation]:
        """Visible ones, newest first; `after` is the id of the last one of the page before."""

    def cancel(self, operation: str, now: datetime) -> Operation:
        """QUEUED or RUNNING becomes CANCELLING; a finished one stays as it is."""

    def delete(self, operation: str) -> None:
        """Raises NotFound; FailedPrecondition (OPERATION_RUNNING) unless it is done."""

    def save(self, operation: Operation) -> None:
        """Writes state, counts, total_rows, result, error and times back."""

    def active(self) -> list[Operation]:
        """Those that are not done, oldest first."""

    def purge(self, kind: OperationKind, before: datetime) -> int:
        """Removes finished ones of a kind that ended before a time, with their shards."""


class Stage(StrEnum):
    """The stages of a shard, in their order."""

    MANIFEST = "manifest"
    INGEST = "ingest"
    EMBED = "embed"
    INDEX = "index"
    DONE = "done"


class ShardState(StrEnum):
    """What a shard is waiting for within its stage."""

    READY = "ready"  # to be published
    IN_FLIGHT = "in_flight"  # a worker, until the lease ends
    REPORTED = "reported"  # its turn to be applied


@dataclass(slots=True)
class Shard:
    """One unit of work of an operation. `message` is the body for the current stage.

    `notes` is what the coordinator carries from stage to stage.
    """

    operation: str
    sequence: int
    stage: Stage
    state: ShardState
    message: dict[str, Any]
    report: dict[str, Any] | None = None
    attempts: int = 0
    lease_until: datetime | None = None
    notes: dict[str, Any] = field(default_factory=dict)


class ShardRecords(Protocol):
    """The outbox and progress of operations: one row a shard."""

    def add(self, shards: Sequence[Shard]) -> None:
        """Adds shards; the same (operation, sequence) again changes nothing."""

    def get(self, operation: str, sequence: int) -> Shard | None: ...

    def save(self, shard: Shard) -> None: ...

    def first(self, operation: str, stages: Sequence[Stage]) -> Shard | None:
        """The shard with the lowest sequence that is in one of these stages."""

    def unfinished(self, operation: str) -> int:
        """Number of shards whose stage is not DONE."""

    def next_sequence(self, operation: str) -> int:
        """One more than the largest; 0 for an operation without shards."""

    def reported(self, operation: str, stage: Stage) -> list[Shard]:
        """REPORTED shards of that stage, in order."""

    def page(self, operation: str, after: int, limit: int) -> list[Shard]:
        """Shards with a sequence greater than `after`, in order."""

    def lease(
        self, operation: str, window: int, now: datetime, until: datetime, stages: Sequence[Stage]
    ) -> list[Shard]:
        """Takes READY shards of these stages into flight, later stages and lower numbers first.

        At most `window` shards of the operation are in flight, and none whose number is more than
        2 * window beyond the first unfinished one.
        """

    def expired(self, now: datetime) -> list[Shard]:
        """IN_FLIGHT shards whose lease has ended."""

    def lapse(self, now: datetime | None) -> int:
        """IN_FLIGHT shards whose lease ended (all when None) become READY; returns how many."""

    def drop(self, operation: str, stage: Stage) -> None:
        """Removes the operation's shards that are still in that stage (after a cancel)."""


class RequestRecords(Protocol):
    """Answers to requests with a request_id (AIP-155)."""

    def find(self, rpc: str, request_id: str, digest: str) -> bytes | None:
        """The stored answer. Raises InvalidArgument (REQUEST_ID_REUSED) for another payload."""

    def remember(
        self, rpc: str, request_id: str, digest: str, answer: bytes, now: datetime
    ) -> None: ...
