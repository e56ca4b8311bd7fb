"""Blocking ports under asyncio."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from services.core.domain.errors import DeadlineExceeded

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A bounded pool of `size` threads; calls beyond it wait their turn."""

    def __init__(self, size: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=name)

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `work` in the pool, with the caller's context variables (logs, traces)."""
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: context.run(work, *args, **kwargs))

    async def close(self) -> None:
        """Waits for the calls that run, some of which may need the loop to end."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. Raises DeadlineExceeded after so many `seconds`.

    What runs in a thread cannot be stopped: it ends by itself, its result is dropped.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise DeadlineExceeded(
            "the deadline passed before there was an answer: allow more time, or repeat later"
        ) from None
