"""Repeated measurements and their quantiles."""

import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle value, the lower of two."""
    return quantile(values, 0.5)


def timed(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> tuple[float, R]:
    """Milliseconds that one call takes, and its result."""
    started = time.perf_counter()
    result = call(*args, **kwargs)
    return 1e3 * (time.perf_counter() - started), result
