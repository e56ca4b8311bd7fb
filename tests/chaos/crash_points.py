"""`python -m tests.chaos.crash_points POINT:N services.NAME ...`: a service that kills itself.

It gets SIGKILL when it comes to a named point for the N-th time. The product knows nothing of
this: the adapters that the service opens are wrapped here, in its own process.
"""

import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from services.core.adapters.celery_queue import CeleryQueue
from services.core.adapters.minio_objects import MinioObjects
from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.adapters.sql_records.store import SqlRecords
from services.core.messages import Message, Report
from services.core.record_ports import Records


class Point(StrEnum):
    """Where a process dies."""

    STORED = "stored"  # an object is stored, nobody has been told
    BEFORE_REPORT = "before-report"  # the work is done, the report is not published
    REPORTED = "reported"  # the report is published, the message not acknowledged
    UPSERTED = "upserted"  # points are written, the report is not published
    BEFORE_COMMIT = "before-commit"  # a write to the records is complete but for its commit
    COMMITTED = "committed"  # it is committed, and nothing has been done about it


class Countdown:
    """Counts passes of a point and calls `end` at the N-th."""

    def __init__(self, passes: int, end: Callable[[], None]) -> None:
        self._left = passes
        self._end = end
        self._lock = threading.Lock()

    def passed(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._end()


def plant(point: Point, countdown: Countdown) -> None:
    """Wraps the adapters of this process so that `countdown` hears of every pass of `point`."""
    passed = countdown.passed
    match point:
        case Point.STORED:
            _wrap(MinioObjects, "put", after=lambda *_: passed())
            _wrap(MinioObjects, "put_stream", after=lambda *_: passed())
        case Point.BEFORE_REPORT:
            _wrap(CeleryQueue, "publish", before=lambda _, message: _if_report(message, passed))
        case Point.REPORTED:
            _wrap(CeleryQueue, "publish", after=lambda _, message: _if_report(message, passed))
        case Point.UPSERTED:
            _wrap(QdrantVectors, "upsert", after=lambda *_: passed())
        case Point.BEFORE_COMMIT:
            _wrap_commits(passed)
        case Point.COMMITTED:
            _wrap_writes(passed)


def main(arguments: Sequence[str]) -> None:
    """Runs the service; its other arguments are its own."""
    place, module, *rest = arguments
    name, _, passes = place.partition(":")
    plant(Point(name), Countdown(int(passes or 1), _die))
    sys.argv = [module, *rest]
    runpy.run_module(f"{module}.__main__", run_name="__main__", alter_sys=True)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _if_report(message: Message, passed: Callable[[], None]) -> None:
    if isinstance(message, Report):
        passed()


def _nothing(*_: Any) -> None:
    return


def _wrap(
    kind: type,
    name: str,
    *,
    before: Callable[..., None] = _nothing,
    after: Callable[..., None] = _nothing,
) -> None:
    inner = getattr(kind, name)

    def outer(*arguments: Any, **options: Any) -> Any:
        before(*arguments)
        result = inner(*arguments, **options)
        after(*arguments)
        return result

    setattr(kind, name, outer)


_writing = threading.local()


def _wrap_commits(passed: Callable[[], None]) -> None:
    """Of transactions that write; reading ones commit as well."""
    _mark_writes()

    def before(*_: Any) -> None:
        if getattr(_writing, "now", False):
            passed()

    _wrap(sa.Connection, "commit", before=before)


def _mark_writes() -> None:
    inner = SqlRecords.begin

    @contextmanager
    def begin(self: SqlRecords, *, write: bool = False, snapshot: bool = True) -> Iterator[Records]:
        _writing.now = write
        try:
            with inner(self, write=write, snapshot=snapshot) as records:
                yield records
        finally:
            _writing.now = False

    SqlRecords.begin = begin  # type: ignore[method-assign]


def _wrap_writes(passed: Callable[[], None]) -> None:
    inner = SqlRecords.begin

    @contextmanager
    def begin(self: SqlRecords, *, write: bool = False, snapshot: bool = True) -> Iterator[Records]:
        with inner(self, write=write, snapshot=snapshot) as records:
            yield records
        if write:
            passed()

    SqlRecords.begin = begin  # type: ignore[method-assign]


if __name__ == "__main__":
    main(sys.argv[1:])
