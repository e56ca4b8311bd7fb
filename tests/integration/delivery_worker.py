"""A worker process for the tests of delivery; what it does is in each message's `collection`.

python -m tests.integration.delivery_worker URL PREFIX FOLDER CONCURRENCY GRACE alone|beside
"""

import os
import signal
import sys
import time
from pathlib import Path

from services.core.adapters.celery_queue import CeleryQueue
from services.core.domain.errors import Unavailable
from services.core.messages import DropCollection, EmbedSingle, IndexShard
from services.core.outcomes import ShardIndexed
from services.core.runtime.celery_app import make_app
from services.core.runtime.fatal import FatalWorkerError
from services.core.runtime.local_worker import start_worker
from services.core.runtime.logs import configure_logs
from services.core.runtime.worker import Retries, register
from services.core.runtime.worker_process import run_worker


class Tasks:
    """Writes a line into `log` when a task begins and when it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def handle(self, message: DropCollection) -> ShardIndexed:
        self._write("begin", message)
        match message.collection:
            case "wait":
                while not (self._folder / "go").exists():
                    time.sleep(0.02)
            case "short":
                time.sleep(0.03)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "unavailable":
                if not (self._folder / "go").exists():
                    raise Unavailable("the vector store is down")
            case "fatal":
                raise FatalWorkerError("the CUDA context is broken")
        self._write("end", message)
        return ShardIndexed(points=1)

    def _write(self, what: str, message: DropCollection) -> None:
        os.write(self._log, f"{what} {message.id}\n".encode())


def lose_the_gpu(message: EmbedSingle) -> ShardIndexed:
    raise FatalWorkerError("the CUDA context is broken")


def main() -> int:
    url, prefix, folder, concurrency, grace, beside = sys.argv[1:]
    configure_logs("INFO")
    app = make_app(url, prefix=prefix)
    reports = CeleryQueue(make_app(url, prefix=prefix), publish_timeout=5.0)
    handle = Tasks(Path(folder)).handle
    retries = Retries(count=20, first_delay=0.5, longest_delay=1.0)
    register(app, {DropCollection: handle, IndexShard: handle}, reports.publish, retries)
    others = []
    if beside == "beside":
        others.append(make_app(url, prefix=prefix))
        register(others[0], {EmbedSingle: lose_the_gpu}, reports.publish, retries)
        start_worker(others[0], [EmbedSingle.QUEUE], 1, "beside")
    return run_worker(
        app, ["index"], int(concurrency), "test",
        grace=float(grace), heartbeat_file=Path(folder) / "heartbeat", beside=others,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
