"""Celery's consumer for RabbitMQ, with what Celery leaves out: dead letters, drains and probes."""

# mypy: disable-error-code="no-untyped-call"

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from celery import bootsteps
from celery.exceptions import WorkerShutdown
from celery.worker import WorkController, components
from celery.worker.consumer import Consumer
from kombu.asynchronous import Hub
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from services.core import dead_letter_headers as dead
from services.core.adapters.celery_queue import QueueApp
from services.core.adapters.confirmed_publisher import ConfirmedPublisher, Outgoing, bounded
from services.core.domain.errors import ShelflensError
from services.core.runtime.refusals import MOST_BYTES, Refused, admitted
from services.core.runtime.task_threads import TaskThreads

TICK = 0.2  # seconds between two looks at whether to stop
_TOUCH = 2.0  # seconds between two touches of the heartbeat file
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_BURY_SECONDS = 5.0
_DECLARE_SECONDS = 30.0
_KEPT_PROPERTIES = ("correlation_id", "message_id", "type")
_log = structlog.get_logger(__name__)


class StopRequest:
    """Asks a worker to end its tasks and stop. May be made by any thread or signal handler."""

    def __init__(self) -> None:
        self.made = threading.Event()
        self.exit_code = 0

    def __call__(self, exit_code: int = 0) -> None:
        self.exit_code = self.exit_code or exit_code
        self.made.set()


class _OwnHub(bootsteps.Step):  # type: ignore[misc]
    """An event loop of its own: Celery's is the process's, and workers here may share a process."""

    requires = (components.Hub,)

    def create(self, w: Any) -> None:
        w.hub = Hub(w.timer)


class QueueController(WorkController):  # type: ignore[misc]
    """Celery's worker over RabbitMQ on threads; `start()` blocks until `stop_request` is met."""

    class Blueprint(WorkController.Blueprint):  # type: ignore[misc]
        """Celery's steps, with a hub for each worker."""

        default_steps = WorkController.Blueprint.default_steps | {_OwnHub}

    def __init__(
        self,
        app: QueueApp,
        stop_request: StopRequest,
        *,
        heartbeat_file: Path | None = None,
        on_stopping: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> None:
        self.stop_request = stop_request
        self.heartbeat_file = heartbeat_file
        self.on_stopping = on_stopping
        super().__init__(app=app, pool=TaskThreads, consumer_cls=QueueConsumer, **options)


class QueueConsumer(Consumer):  # type: ignore[misc]
    """Takes messages; ends what it has and stops when its controller's stop_request is made."""

    app: QueueApp
    controller: QueueController
    pool: TaskThreads

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """Without Celery's delayed delivery, which declares 28 queues with names of its own."""

        default_steps = (
            "celery.worker.consumer.connection:Connection",
            "celery.worker.consumer.mingle:Mingle",
            "celery.worker.consumer.events:Events",
            "celery.worker.consumer.tasks:Tasks",
            "celery.worker.consumer.consumer:Evloop",
        )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._graves = ConfirmedPublisher(
            self.app.connection_for_write, self.app.declare, _BURY_SECONDS
        )
        self._touched = 0.0
        self._idle_ticks = 0
        self._cancelled = False

    # Connecting

    def connect(self) -> Connection:
        """A connection to a broker that knows our queues."""
        connection: Connection = self.connection_for_read(heartbeat=self.amqheartbeat)
        try:
            with bounded(connection, _DECLARE_SECONDS):
                self.app.declare(connection)
        except BaseException:
            connection.collect(socket_timeout=1.0)
            raise
        connection.transport.register_with_event_loop(connection.connection, self.hub)
        return connection

    def ensure_connected(self, conn: Connection) -> Connection:
        """Tries for ever, with backoff, until the worker is to stop."""
        pause = _FIRST_PAUSE
        while True:
            self._leave_if_asked()
            try:
                conn.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
                return conn
            except (OperationalError, OSError, *conn.connection_errors) as error:
                _log.warning("broker.unreachable", pause=pause, error=str(error))
            self.controller.stop_request.made.wait(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def _leave_if_asked(self) -> None:
        """Without a connection nothing can be acknowledged, but work in hand may still report."""
        if self.controller.stop_request.made.is_set():
            self._drain()
            while not self.pool.idle:
                time.sleep(TICK)
            raise WorkerShutdown(self.controller.stop_request.exit_code)

    # Being alive and stopping

    def register_with_event_loop(self, hub: Hub) -> None:
        """Celery calls this for every connection."""
        super().register_with_event_loop(hub)
        hub.timer.call_repeatedly(TICK, self._tick)

    def _tick(self) -> None:
        self._touch()
        if not self.controller.stop_request.made.is_set():
            return
        if not self._cancelled:
            self._drain()
            self._cancelled = True
            self.task_consumer.cancel()
        # The second look is after the acknowledgement of what had ended at the first.
        self._idle_ticks = self._idle_ticks + 1 if self.pool.idle else 0
        if self._idle_ticks > 1:
            raise WorkerShutdown(self.controller.stop_request.exit_code)

    def _drain(self) -> None:
        if not self._cancelled:
            _log.info("worker.draining")
            self.app.draining.set()
            self.controller.on_stopping()

    def _touch(self) -> None:
        path, now = self.controller.heartbeat_file, time.monotonic()
        if path is None or now - self._touched < _TOUCH:
            return
        self._touched = now
        try:
            path.touch()
        except OSError as error:
            _log.error("heartbeat.untouchable", path=str(path), error=str(error))

    # Messages

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], None]:
        """Celery's, behind a look at the message."""
        handle = super().create_task_handler(*arguments, **options)

        def on_message(message: Any) -> None:
            if self.app.draining.is_set():
                return  # not acknowledged: it goes back when the connection closes
            try:
                message.headers = (
                    self.app.admit(message)
                    if self.app.admit is not None
                    else admitted(message, self.app.kinds, MOST_BYTES)
                )
                handle(message)
            except Refused as refused:
                self._bury(message, refused.reason, refused.detail)
            except (*self.connection_errors, *self.channel_errors):
                raise
            except Exception as error:
                self._bury(message, dead.UNDECODABLE, repr(error))

        return on_message

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Celery would acknowledge it."""
        self._bury(message, dead.UNDECODABLE, repr(exc))

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Celery would reject it without a reason."""
        self._bury(message, dead.UNDECODABLE, "it is no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Celery would reject it without a reason."""
        self._bury(message, dead.UNKNOWN_TASK, repr(exc))

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Celery would reject it without a reason."""
        self._bury(message, dead.UNDECODABLE, repr(exc))

    def _bury(self, message: Any, reason: str, detail: str) -> None:
        """Moves a message to the dead ones: published there first, then acknowledged."""
        queue = self._queue_of(message.delivery_info.get("consumer_tag"))
        _log.error("message.refused", queue=queue, reason=reason, detail=detail[:300])
        if not self.app.buries:
            message.reject(requeue=False)
            return
        try:
            self._graves.publish(self._dead_letter(message, queue, reason, detail))
        except ShelflensError as error:
            _log.error("message.not_buried", queue=queue, reason=error.reason, error=error.message)
            message.reject(requeue=True)
        except Exception as error:  # headers that can be read but not written
            _log.error("message.not_buried", queue=queue, error=repr(error))
            message.reject(requeue=False)  # the broker moves it, without our reason
        else:
            message.ack()

    def _dead_letter(self, message: Any, queue: str, reason: str, detail: str) -> Outgoing:
        body = message.body
        headers = dict(getattr(message, "wire_headers", message.headers))
        known = headers.get("id") or message.properties.get("message_id")
        same = f"{queue} {reason} {known}" if known else str(uuid.uuid4())
        headers |= {
            dead.REASON: reason,
            dead.DETAIL: detail[: dead.DETAIL_LENGTH],
            dead.QUEUE: queue,
            dead.ROUTING_KEY: str(message.delivery_info.get("routing_key", "")),
            dead.DEATH_ID: str(uuid.uuid5(uuid.NAMESPACE_OID, same)),
        }
        properties = {
            key: message.properties[key] for key in _KEPT_PROPERTIES if key in message.properties
        }
        return Outgoing(
            exchange=self.app.prefix + dead.DEAD_EXCHANGE,
            routing_key=queue,
            body=body.encode() if isinstance(body, str) else bytes(body),
            headers=headers,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            properties=properties,
        )

    def _queue_of(self, tag: Any) -> str:
        # Routing keys do not tell: a sender may have published to the queue by another way.
        active = getattr(self.task_consumer, "_active_tags", {})
        return next((name for name, each in active.items() if each == tag), "")
