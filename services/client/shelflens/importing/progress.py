"""What an import says while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

from shelflens.values import Operation


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is.

    `phase` is "upload" (reading, hashing and sending, on this machine) or "import" (on the
    server); `fraction` of the phase is 0 to 1, or None while the total is unknown. `rejected`
    counts unreadable rows and images while uploading, rejected rows while importing.
    """

    phase: Literal["upload", "import"]
    fraction: float | None
    rows: int
    rejected: int
    images: int = 0
    uploaded_images: int = 0
    uploaded_bytes: int = 0
    operation: Operation | None = None

    @classmethod
    def of_operation(cls, operation: Operation) -> Self:
        """The second phase, as the server reports it."""
        counts = operation.counts
        finished = counts.rows_accepted + counts.rows_rejected
        total = operation.total_rows
        fraction = min(1.0, finished / total) if total else None
        return cls(
            phase="import",
            fraction=1.0 if operation.done else fraction,
            rows=finished,
            rejected=counts.rows_rejected,
            images=counts.images_embedded + counts.images_reused,
            operation=operation,
        )


OnProgress = Callable[[Progress], object]
OnNote = Callable[[str], object]


def ignore(_: object) -> None:
    """Where nobody listens."""
