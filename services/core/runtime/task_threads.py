"""The threads that tasks run on."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.concurrency.base import apply_target
from celery.concurrency.thread import ApplyResult, TaskPool
from celery.exceptions import Reject

from services.core.adapters.celery_queue import QueueApp


class Abandoned(Reject):  # type: ignore[misc]
    """Raised by a task whose message goes back when the process ends, and not earlier.

    A rejected message comes back to the same worker at once, and each time counts.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason, requeue=True)


class TaskThreads(TaskPool):  # type: ignore[misc]
    """Celery's threads, each with the worker's own application as its current one.

    Celery looks tasks up in the current application; without this it would be the process's.
    Once `app.draining` is set no further task begins: its message goes back to the broker when the
    connection closes.
    """

    def __init__(self, *arguments: Any, app: QueueApp, **options: Any) -> None:
        super().__init__(*arguments, app=app, **options)
        self.executor = ThreadPoolExecutor(self.limit, "task", initializer=app.set_current)
        self._draining = app.draining
        self._running = 0
        self._lock = threading.Lock()

    @property
    def idle(self) -> bool:
        """Whether no task runs."""
        with self._lock:
            return self._running == 0

    def on_apply(self, *arguments: Any, **options: Any) -> ApplyResult:
        """Begins a task as soon as a thread is free."""
        return ApplyResult(self.executor.submit(self._run, *arguments, **options))

    def _run(
        self,
        target: Any,
        args: Any = None,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        **_: Any,
    ) -> None:
        with self._lock:
            if self._draining.is_set():
                return
            self._running += 1
        try:
            apply_target(target, args, kwargs, _unless_abandoned(callback), accept_callback)
        finally:
            with self._lock:
                self._running -= 1


def _unless_abandoned(callback: Callable[[Any], None]) -> Callable[[Any], None]:
    def settle(result: Any) -> None:
        if not _is_abandoned(result):
            callback(result)

    return settle


def _is_abandoned(result: Any) -> bool:
    """`result` is (failed, value or ExceptionInfo, seconds), or the ExceptionInfo of SystemExit."""
    if not (isinstance(result, tuple) and result[0]):
        return False
    error = result[1].exception
    return isinstance(getattr(error, "exc", error), Abandoned)  # it may be wrapped
