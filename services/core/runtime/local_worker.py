"""Queue workers on threads of this process."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from celery.worker import WorkController

from services.core.adapters.celery_queue import QueueApp
from services.core.domain.errors import Unavailable
from services.core.runtime.queue_consumer import QueueController, StopRequest
from services.core.runtime.task_threads import TaskThreads


class RunningWorker:
    """A worker in this process, made by start_worker."""

    def __init__(self, controller: WorkController, stop: Callable[[], Any]) -> None:
        self._thread = threading.Thread(
            target=controller.start, name=f"worker {controller.hostname}", daemon=True
        )
        self._stopper = threading.Thread(target=stop, daemon=True)
        self._thread.start()

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
    app: QueueApp, queues: Sequence[str], concurrency: int, name: str, ready_timeout: float = 30.0
) -> RunningWorker:
    """Runs `concurrency` threads over `queues` in this process and returns when they consume.

    Every worker needs an application of its own: Celery's choice of queues is part of it, and
    two workers of one application consume nothing. Signal handlers stay as they are.
    Raises Unavailable (WORKER_NOT_READY) after `ready_timeout` seconds.
    """
    ready = threading.Event()
    options: dict[str, Any] = {
        "hostname": f"{name}@local",
        "concurrency": concurrency,
        "queues": list(queues),
        "ready_callback": lambda consumer: ready.set(),
        "without_mingle": True,
        "without_gossip": True,
        "without_heartbeat": True,
    }
    worker = _start(app, options)
    deadline = time.monotonic() + ready_timeout
    while not ready.wait(0.05):
        if time.monotonic() > deadline or not worker.alive:
            worker.begin_stop()
            raise Unavailable(
                f"worker {name} does not consume {', '.join(queues)}; its log says why",
                reason="WORKER_NOT_READY",
            )
    return worker


def _start(app: QueueApp, options: dict[str, Any]) -> RunningWorker:
    if app.delay_exchange is None:  # in memory
        controller = WorkController(app=app, pool=TaskThreads, **options)
        return RunningWorker(controller, controller.stop)
    stop = StopRequest()
    return RunningWorker(QueueController(app, stop, **options), stop)
