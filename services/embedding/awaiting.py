"""Waiting for what other threads compute, for no longer than a deadline."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def awaited(future: "Future[T]", deadline: float | None) -> T:
    """Its result; what has not begun by the deadline (of time.monotonic) is dropped.

    Raises TimeoutError, and what the future raises.
    """
    try:
        return future.result(None if deadline is None else max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        future.cancel()
        raise


def all_awaited(futures: "Sequence[Future[T]]", deadline: float | None) -> list[T]:
    """The results of all, as `awaited`; after an error the others are dropped."""
    try:
        return [awaited(each, deadline) for each in futures]
    finally:
        for each in futures:
            each.cancel()
