"""Limits of the coordinator."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoordinatorLimits:
    """`window` shards of an operation are in flight at most; a worker holds one for `lease` s.

    A picture that more than `products_per_image` products of a catalogue show stands for none of
    them ("no image available"), and is kept out of search. Sizes and colours may share one.
    """

    window: int = 6
    lease: float = 900.0
    tick: float = 1.0
    index_attempts: int = 20
    index_backoff: float = 5.0
    reported_rejections: int = 100
    reported_changes: int = 100  # of a dry run
    sweep: int = 1_000
    products_per_image: int = 50
    keep_changes: float = 3_600.0
