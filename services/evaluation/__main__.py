"""The evaluation worker process: measures models, and fits whitening, PCA and calibrations."""

import sys
from contextlib import ExitStack

from services.core.runtime.connections.broker import open_queue, worker_app
from services.core.runtime.connections.objects import open_objects
from services.core.runtime.startup import run_service
from services.core.runtime.worker_process import run_worker
from services.evaluation import tasks
from services.evaluation.handlers import EvaluationHandlers
from services.evaluation.settings import EvaluationSettings

_AT_A_TIME = 1  # a fit or an evaluation takes every core, and memory for a gallery


def main() -> int:
    return run_service(EvaluationSettings, _serve)


def _serve(settings: EvaluationSettings) -> int:
    with ExitStack() as opened:
        handlers = tasks.handlers(EvaluationHandlers(open_objects(settings)))
        queue = open_queue(settings)
        opened.callback(queue.close)
        return run_worker(
            worker_app(settings, tasks.QUEUES, handlers, queue),
            tasks.QUEUES,
            _AT_A_TIME,
            "evaluation",
            grace=settings.grace_seconds,
            heartbeat_file=settings.heartbeat_file,
        )


if __name__ == "__main__":
    sys.exit(main())
