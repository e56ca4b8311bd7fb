"""A bounded pipeline: work in threads, results in the order of the items."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    threads: int,
    ahead: int,
    stop: threading.Event,
) -> Generator[R, None, None]:
    """`work` of every item, by `threads` threads, holding at most `ahead` items at a time.

    The first exception (Ctrl-C too) ends it: `stop` is set, so that what already runs can return
    early, and is waited for.
    """
    running: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="shelflens-import") as pool:
        try:
            for item in items:
                running.append(pool.submit(work, item))
                if len(running) >= ahead:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:
            stop.set()
            raise
        finally:
            for future in running:
                future.cancel()
