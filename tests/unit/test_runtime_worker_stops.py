"""Workers of one process that stop side by side."""

import signal
import time
import uuid

from services.core.messages import DropCollection, EmbedSingle
from services.core.runtime.celery_app import make_app
from services.core.runtime.worker import register, start_worker

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def test_idle_workers_stop_in_less_than_3_seconds_without_touching_signals() -> None:
    url = f"memory://{uuid.uuid4().hex}/"
    before = [signal.getsignal(each) for each in _SIGNALS]
    workers = []
    for kind in (DropCollection, EmbedSingle):
        app = make_app(url)
        register(app, {kind: lambda message: None}, lambda report: None)
        workers.append(start_worker(app, [kind.QUEUE], 1, kind.QUEUE))
    assert [signal.getsignal(each) for each in _SIGNALS] == before
    started = time.monotonic()
    for each in workers:
        each.begin_stop()
    assert all(each.stop(3.0) for each in workers)
    assert time.monotonic() - started < 3.0
    assert not any(each.alive for each in workers)
