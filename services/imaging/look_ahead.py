"""Results in order, with a bounded number of items under way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    items: Iterable[Item], submit: Callable[[Item], "Future[Result]"], ahead: int
) -> Iterator["Future[Result]"]:
    """The finished futures of `submit(item)`, in the order of `items`, at most `ahead` at once.

    Whoever stops early leaves no queued work behind.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(submit(item))
            if len(waiting) >= ahead:
                yield _finished(waiting.popleft())
        while waiting:
            yield _finished(waiting.popleft())
    finally:
        for each in waiting:
            each.cancel()


def _finished(future: "Future[Result]") -> "Future[Result]":
    future.exception()  # waits
    return future
