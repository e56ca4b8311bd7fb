"""The edge of every queue worker: tasks from a table of handlers."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import structlog
from celery.exceptions import Ignore, Reject
from structlog.contextvars import bound_contextvars

from services.core.adapters.celery_queue import CeleryQueue, QueueApp
from services.core.domain.errors import (
    AlreadyExists,
    Cancelled,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ShelflensError,
)
from services.core.messages import Message, Report
from services.core.runtime.fatal import FatalWorkerError
from services.core.runtime.local_worker import RunningWorker, start_worker
from services.core.runtime.task_threads import Abandoned

PERMANENT = (
    InvalidArgument,
    NotFound,
    AlreadyExists,
    FailedPrecondition,
    Cancelled,
    DataLoss,
)
RETRIES_EXHAUSTED = "RETRIES_EXHAUSTED"
# What is not the message's fault although it will not pass by itself: somebody must set a server
# or a worker right, and then all goes on.
_TO_BE_SET_RIGHT = frozenset(
    {
        "OBJECTS_DENIED",
        "BUCKET_NOT_FOUND",
        "VECTOR_STORE_DENIED",
        "VECTOR_STORE_NOT_READY",
        "VECTOR_STORE_TOO_OLD",
        "MODEL_NOT_LOADED",
        "PRECISION_UNSUPPORTED",
    }
)
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_log = structlog.get_logger(__name__)

__all__ = ("Handlers", "Retries", "RunningWorker", "register", "start_worker")

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
    app: QueueApp,
    handlers: Handlers,
    report: Publish,
    retries: Retries = Retries(),
    patience: float = 300.0,
) -> None:
    """Makes a task of every message type: it decodes, calls the handler, publishes a Report.

    Handlers take the message and return an outcome dataclass. Errors of a PERMANENT kind are
    reported with their reason; all others are repeated and then reported: with their reason and as
    passing where they tell of a server that is away or set up wrongly, else as RETRIES_EXHAUSTED. A
    report that the broker does not take is tried again for `patience` seconds (well below the
    30 minutes for which RabbitMQ lends a message); then the message goes back to its queue.
    Nothing is reported about messages on the queue of the reports themselves. Messages that cannot
    be decoded are logged and rejected.
    """
    queue = CeleryQueue(app)
    for kind, handler in handlers.items():
        app.kinds[kind.TASK] = kind
        task = _Edge(app, kind, handler, report, retries, patience, queue).run
        app.task(bind=True, name=kind.TASK, shared=False, max_retries=None)(_function(task))


def _function(method: Callable[..., None]) -> Callable[..., None]:
    def run(task: Any, *_: Any, message: Any = None, **__: Any) -> None:
        method(task, message)

    return run


@dataclass(frozen=True, slots=True)
class _Edge:
    app: QueueApp
    kind: type[Message]
    handler: Handler
    publish: Publish
    retries: Retries
    patience: float
    queue: CeleryQueue

    def run(self, task: Any, body: Any) -> None:
        message = self._decode(body)
        started = time.perf_counter()
        with bound_contextvars(task=self.kind.TASK, operation=message.operation, id=message.id):
            if message.attempt > 1 and self.kind.QUEUE != Report.QUEUE:
                self._say_started(message)
            result = self._handle(task, message)
            elapsed_ms = (time.perf_counter() - started) * 1000
            _log.debug(
                "task.done", elapsed_ms=round(elapsed_ms, 3), failure=result.get("failure", "")
            )
            if self.kind.QUEUE != Report.QUEUE:
                self._report(_report(message, elapsed_ms, **result))

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

    def _handle(self, task: Any, message: Message) -> dict[str, Any]:
        """What is to be reported."""
        try:
            return {"outcome": _json(self.handler(message))}
        except Exception as error:
            if isinstance(error, PERMANENT) and not _passes(error):
                _log.info("task.refused", reason=error.reason, error=error.message)
                return {"failure": error.reason, "failure_message": error.message}
            if isinstance(error, FatalWorkerError) and self.app.on_fatal is not None:
                self.app.draining.set()  # nothing else may begin here
                self.app.on_fatal(error)
                raise Abandoned(error.reason) from error
            return self._retry(task, message, error)

    def _say_started(self, message: Message) -> None:
        """The coordinator lost sight of an earlier attempt: if this one ends the worker too, it
        should know. Not saying so costs nothing but that."""
        try:
            self.publish(_report(message, 0.0, started=True))
        except ShelflensError as error:
            _log.warning("start.not_published", reason=error.reason, error=error.message)

    def _retry(self, task: Any, message: Message, error: Exception) -> dict[str, Any]:
        done = task.request.retries
        reason = error.reason if isinstance(error, ShelflensError) else type(error).__name__
        if done < self.retries.count:
            delay = self.retries.delay(done)
            _log.warning("task.retried", done=done, delay=delay, reason=reason, exc_info=error)
            self._repeat_later(task, message, error, delay)
        _log.error("task.gave_up", repeats=done, reason=reason, exc_info=error)
        if _passes(error):
            return {"failure": reason, "failure_message": str(error), "passing": True}
        return {"failure": RETRIES_EXHAUSTED, "failure_message": reason}

    def _repeat_later(self, task: Any, message: Message, error: Exception, delay: float) -> None:
        """Never returns. The broker holds the message meanwhile where it can."""
        if self.app.delay_exchange is None:
            raise task.retry(exc=error, countdown=delay)
        exchange = self.app.delay_exchange(delay)
        try:
            self.queue.publish_later(message, task.request.retries + 1, exchange)
        except ShelflensError as failure:
            _log.error("task.not_postponed", reason=failure.reason, error=failure.message)
            self.app.draining.wait(delay)
            raise Reject(failure.reason, requeue=True) from failure
        raise Ignore  # acknowledged: the repeat is a message of its own

    def _report(self, report: Report) -> None:
        """The work is done: better to wait for the broker than to do it again."""
        deadline, pause = time.monotonic() + self.patience, _FIRST_PAUSE
        while True:
            try:
                return self.publish(report)
            except ShelflensError as error:
                _log.warning("report.not_published", reason=error.reason, error=error.message)
                if time.monotonic() > deadline or self.app.draining.is_set():
                    raise Reject(error.reason, requeue=True) from error
            self.app.draining.wait(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)


def _passes(error: Exception) -> bool:
    if isinstance(error, PERMANENT):
        return error.reason in _TO_BE_SET_RIGHT
    return isinstance(error, ShelflensError)


def _report(message: Message, elapsed_ms: float, **fields: Any) -> Report:
    return Report(
        id=message.id,
        operation=message.operation,
        revision=message.revision,
        traceparent=message.traceparent,
        attempt=message.attempt,
        task=message.TASK,
        elapsed_ms=elapsed_ms,
        **fields,
    )


def _json(outcome: Any) -> dict[str, Any]:
    return asdict(outcome) if is_dataclass(outcome) and not isinstance(outcome, type) else {}
