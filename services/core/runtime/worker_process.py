"""A queue worker that is a process of its own: the last call of a service's `__main__`."""

import faulthandler
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import structlog

from services.core.adapters.celery_queue import QueueApp
from services.core.runtime.queue_consumer import QueueController, StopRequest

EXIT_FAILED = 1  # it could not start, or failed in a way that its log tells
EXIT_BROKEN = 70  # a FatalWorkerError; the orchestrator starts another process
EXIT_UNFINISHED = 75  # the grace period ended, or a second signal came; messages are back
_GRACE_OF_THE_BROKEN = 10.0  # seconds for tasks beside one that found the process broken
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_log = structlog.get_logger(__name__)


def run_worker(
    app: QueueApp,
    queues: Sequence[str],
    concurrency: int,
    name: str,
    *,
    grace: float = 60.0,
    heartbeat_file: Path | None = None,
    on_ready: Callable[[], None] = lambda: None,
    on_stopping: Callable[[], None] = lambda: None,
    beside: Sequence[QueueApp] = (),
) -> int:
    """Works off `queues` with `concurrency` threads until SIGTERM or SIGINT; the exit code.

    For the main thread. A broker that is away, from the start or later, is waited for; `on_ready`
    is called when messages are taken. At a signal no more are taken, `on_stopping` is called, and
    running tasks have `grace` seconds; what is left is with the broker. A second signal or the end
    of the grace period ends the process there and then with EXIT_UNFINISHED, a FatalWorkerError
    with EXIT_BROKEN. `heartbeat_file` is touched every few seconds while the broker is connected
    and this thread lives. `beside` are the applications of other workers in this process
    (start_worker): their fatal errors end it too.
    """
    stop = StopRequest()
    asked: SimpleQueue[None] = SimpleQueue()
    for each in (app, *beside):
        each.on_fatal = lambda error: _break(stop, asked, error)

    def ready(_: object) -> None:
        _log.info("worker.ready", queues=list(queues))
        on_ready()

    controller = QueueController(
        app,
        stop,
        hostname=f"{name}@{os.uname().nodename}",
        concurrency=concurrency,
        queues=list(queues),
        heartbeat_file=heartbeat_file,
        on_stopping=on_stopping,
        ready_callback=ready,
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
    )
    ended = threading.Event()
    watch = threading.Thread(target=_stop_when_asked, args=(asked, stop, grace, ended), daemon=True)
    watch.start()
    with _signals(asked):
        controller.start()
    ended.set()
    code = controller.exitcode if controller.exitcode is not None else EXIT_FAILED
    _log.info("worker.stopped", exit_code=code)
    return int(code)


def _break(stop: StopRequest, asked: SimpleQueue[None], error: Exception) -> None:
    _log.error("worker.broken", error=str(error), exc_info=error)
    stop(EXIT_BROKEN)
    asked.put(None)


@contextmanager
def _signals(asked: SimpleQueue[None]) -> Iterator[None]:
    came = False

    def on_signal(*_: Any) -> None:
        nonlocal came
        if came:
            os._exit(EXIT_UNFINISHED)
        came = True
        asked.put(None)  # an Event has a lock, which this thread may hold right now

    handlers = [signal.signal(each, on_signal) for each in _SIGNALS]
    try:
        yield
    finally:
        for each, handler in zip(_SIGNALS, handlers, strict=True):
            signal.signal(each, handler)


def _stop_when_asked(
    asked: SimpleQueue[None], stop: StopRequest, grace: float, ended: threading.Event
) -> None:
    """Threads cannot be ended, only their process."""
    asked.get()
    stop()
    if ended.wait(min(grace, _GRACE_OF_THE_BROKEN) if stop.exit_code else grace):
        return
    _log.error("worker.unfinished", grace=grace)
    faulthandler.dump_traceback()  # what each thread was at
    os._exit(stop.exit_code or EXIT_UNFINISHED)
