"""Limits of the coordinator."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoordinatorLimits:
    """`window` shards of an operation are in flight at most; a worker holds one for `lease` s."""

    window: int = 6
    lease: float = 900.0
    tick: float = 1.0
    index_attempts: int = 20
    index_backoff: float = 5.0
    reported_rejections: int = 100
    reported_changes: int = 100  # of a dry run
    sweep: int = 1_000
    keep_changes: float = 3_600.0
