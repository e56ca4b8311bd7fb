"""The edge of every queue worker: tasks from a table of handlers, and workers to run them."""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import structlog
from celery import Celery
from celery.concurrency.thread import TaskPool
from celery.exceptions import Reject
from celery.worker import WorkController
from structlog.contextvars import bound_contextvars

from services.core.domain.errors import (
    AlreadyExists,
    Cancelled,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ShelflensError,
    Unavailable,
)
from services.core.messages import Message, Report

PERMANENT = (
    InvalidArgument,
    NotFound,
    AlreadyExists,
    FailedPrecondition,
    Cancelled,
    DataLoss,
)
RETRIES_EXHAUSTED = "RETRIES_EXHAUSTED"
_log = structlog.get_logger(__name__)

Handler = Callable[[Any], Any]
Handlers = Mapping[type[Message], Handler]
Publish = Callable[[Report], None]


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a task is repeated after a transient error, and how long between (seconds)."""

    count: int = 5
    first_delay: float = 0.5
    longest_delay: float = 30.0

    def delay(self, done: int) -> float:
        """Before repeat number `done`: doubles, with up to half of it taken off at random."""
        full = min(self.longest_delay, self.first_delay * 2.0**done)
        return full * random.uniform(0.5, 1.0)


def register(
    app: Celery,
    handlers: Handlers,
    report: Publish,
    retries: Retries = Retries(),
) -> None:
    """Makes a task of every message type: it decodes, calls the handler, publishes a Report.

    Handlers take the message and return an outcome dataclass. Errors of a PERMANENT kind are
    reported with their reason; all others are repeated and then reported as RETRIES_EXHAUSTED.
    Nothing is reported about messages on the queue of the reports themselves. Messages that cannot
    be decoded are logged and rejected.
    """
    for kind, handler in handlers.items():
        task = _Edge(kind, handler, report, retries).run
        app.task(bind=True, name=kind.TASK, shared=False, max_retries=None)(_function(task))


def _function(method: Callable[..., None]) -> Callable[..., None]:
    def run(task: Any, *_: Any, message: Any = None, **__: Any) -> None:
        method(task, message)

    return run


@dataclass(frozen=True, slots=True)
class _Edge:
    kind: type[Message]
    handler: Handler
    publish: Publish
    retries: Retries

    def run(self, task: Any, body: Any) -> None:
        message = self._decode(body)
        started = time.perf_counter()
        with bound_contextvars(task=self.kind.TASK, operation=message.operation, id=message.id):
            try:
                outcome = self.handler(message)
                self._report(message, started, outcome=_json(outcome))
            except PERMANENT as error:
                _log.info("task.refused", reason=error.reason, error=error.message)
                self._report(message, started, failure=error.reason, failure_message=error.message)
            except Exception as error:
                self._retry(task, message, started, error)

    def _decode(self, body: Any) -> Message:
        try:
            if not isinstance(body, Mapping):
                raise InvalidArgument(
                    f"{self.kind.TASK}: its message is no object", reason="BAD_MESSAGE"
                )
            return self.kind.from_json(body)
        except InvalidArgument as error:
            _log.error("message.undecodable", reason=error.reason, error=error.message)
            raise Reject(error.reason, requeue=False) from error

    def _retry(self, task: Any, message: Message, started: float, error: Exception) -> None:
        done = task.request.retries
        reason = error.reason if isinstance(error, ShelflensError) else type(error).__name__
        if done < self.retries.count:
            delay = self.retries.delay(done)
            _log.warning("task.retried", done=done, delay=delay, reason=reason, exc_info=error)
            raise task.retry(exc=error, countdown=delay)
        _log.error("task.gave_up", repeats=done, reason=reason, exc_info=error)
        text = f"{reason}: {error}" if isinstance(error, ShelflensError) else reason
        self._report(message, started, failure=RETRIES_EXHAUSTED, failure_message=text)

    def _report(self, message: Message, started: float, **fields: Any) -> None:
        if message.QUEUE == Report.QUEUE:
            return
        elapsed_ms = (time.perf_counter() - started) * 1000
        _log.debug("task.done", elapsed_ms=round(elapsed_ms, 3), failure=fields.get("failure", ""))
        if self.kind.QUEUE == Report.QUEUE:
            return
        self.publish(
            Report(
                id=message.id,
                operation=message.operation,
                revision=message.revision,
                traceparent=message.traceparent,
                task=self.kind.TASK,
                elapsed_ms=elapsed_ms,
                **fields,
            )
        )


def _json(outcome: Any) -> dict[str, Any]:
    return asdict(outcome) if is_dataclass(outcome) and not isinstance(outcome, type) else {}


class _Threads(TaskPool):  # type: ignore[misc]
    """Celery's threads, each with the worker's own application as its current one.

    Celery looks tasks up in the current application; without this it would be the process's.
    """

    def __init__(self, *arguments: Any, app: Celery, **options: Any) -> None:
        super().__init__(*arguments, app=app, **options)
        self.executor = ThreadPoolExecutor(self.limit, "task", initializer=app.set_current)


class RunningWorker:
    """A worker in this process, made by start_worker."""

    def __init__(self, controller: WorkController, thread: threading.Thread) -> None:
        self._controller = controller
        self._thread = thread
        self._stopper = threading.Thread(target=controller.stop, daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def begin_stop(self) -> None:
        """Takes no more messages; returns at once. Several workers so stop side by side."""
        if self._stopper.ident is None:
            self._stopper.start()

    def stop(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for running tasks; True when the worker is gone."""
        self.begin_stop()
        deadline = time.monotonic() + timeout
        ending = (self._stopper, self._thread)  # either may be the last
        for each in ending:
            each.join(max(0.0, deadline - time.monotonic()))
        return not any(each.is_alive() for each in ending)


def start_worker(
    app: Celery, queues: Sequence[str], concurrency: int, name: str, ready_timeout: float = 30.0
) -> RunningWorker:
    """Runs `concurrency` threads over `queues` in this process and returns when they consume.

    Every worker needs an application of its own: Celery's choice of queues is part of it, and
    two workers of one application consume nothing. Signal handlers stay as they are.
    Raises Unavailable (WORKER_NOT_READY) after `ready_timeout` seconds.
    """
    ready = threading.Event()
    controller = WorkController(
        app=app,
        hostname=f"{name}@local",
        pool=_Threads,
        concurrency=concurrency,
        queues=list(queues),
        ready_callback=lambda consumer: ready.set(),
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
    )
    thread = threading.Thread(target=controller.start, name=f"worker {name}", daemon=True)
    thread.start()
    worker = RunningWorker(controller, thread)
    deadline = time.monotonic() + ready_timeout
    while not ready.wait(0.05):
        if time.monotonic() > deadline or not worker.alive:
            worker.begin_stop()
            raise Unavailable(
                f"worker {name} does not consume {', '.join(queues)}; its log says why",
                reason="WORKER_NOT_READY",
            )
    return worker
