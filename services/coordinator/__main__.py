"""The coordinator process: takes reports and publishes the next stage. Several may run."""

import sys
from contextlib import ExitStack

from services.coordinator import tasks
from services.coordinator.clockwork import Clockwork
from services.coordinator.dead_letters import DeadLetterLimits, DeadLetters
from services.coordinator.handlers import Coordinator
from services.coordinator.models import OfferedModels
from services.coordinator.settings import CoordinatorLimits, CoordinatorSettings
from services.core.runtime.connections.broker import dead_letters, open_queue, worker_app
from services.core.runtime.connections.objects import open_objects
from services.core.runtime.connections.records import open_records
from services.core.runtime.startup import run_service
from services.core.runtime.worker_process import run_worker


def main() -> int:
    return run_service(CoordinatorSettings, _serve)


def _serve(settings: CoordinatorSettings) -> int:
    with ExitStack() as opened:
        records = open_records(settings, "coordinator")
        opened.callback(records.close)
        clock = records.clock()  # several coordinators time leases alike
        objects = open_objects(settings)
        queue = open_queue(settings)
        limits = CoordinatorLimits(
            window=settings.window,
            lease=settings.lease_seconds,
            products_per_image=settings.products_per_image,
        )
        coordinator = Coordinator(records, objects, queue, clock, limits)
        clockwork = Clockwork(coordinator, limits.tick)
        opened.callback(clockwork.close, settings.grace_seconds)
        letters = DeadLetters(
            records,
            objects,
            clock,
            queue.publish,
            DeadLetterLimits(kept=settings.dead_letters),
            prefix=settings.broker_prefix,
        )
        recorder = dead_letters(settings, letters.record)
        opened.callback(recorder.close, settings.grace_seconds)
        recorder.start()
        handlers = tasks.handlers(coordinator, OfferedModels(records, clock))
        app = worker_app(settings, tasks.QUEUES, handlers, queue)
        return run_worker(
            app,
            tasks.QUEUES,
            1,
            "coordinator",
            grace=settings.grace_seconds,
            heartbeat_file=settings.heartbeat_file,
        )


if __name__ == "__main__":
    sys.exit(main())
