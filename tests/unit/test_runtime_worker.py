"""Workers in one process: outcomes, errors, retries, latency and stops."""

import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import structlog

from services.core.adapters.celery_queue import CeleryQueue
from services.core.domain.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from services.core.messages import DropCollection, EmbedSingle, Message, Report
from services.core.outcomes import ShardEmbedded, ShardIndexed
from services.core.runtime.celery_app import make_app
from services.core.runtime.fatal import FatalWorkerError
from services.core.runtime.worker import Retries, RunningWorker, register, start_worker

SECONDS = 20.0
QUICK = Retries(2, 0.01)
Start = Callable[..., RunningWorker]


class Reports:
    """Collects what workers report."""

    def __init__(self) -> None:
        self._reports: list[Report] = []
        self._changed = threading.Condition()

    def __call__(self, report: Report) -> None:
        with self._changed:
            self._reports.append(report)
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[Report]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._reports) >= count, SECONDS)
            return list(self._reports)


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/"


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    workers: list[RunningWorker] = []

    def start(
        handlers: Mapping[type[Message], Any],
        report: Callable[[Report], None],
        concurrency: int = 1,
        retries: Retries = QUICK,
        patience: float = SECONDS,
    ) -> RunningWorker:
        app = make_app(url)
        register(app, handlers, report, retries, patience)
        queues = sorted({kind.QUEUE for kind in handlers})
        workers.append(start_worker(app, queues, concurrency, f"w{len(workers)}"))
        return workers[-1]

    yield start
    for each in workers:
        each.begin_stop()
    assert all(each.stop(SECONDS) for each in workers)


def drop(name: str = "d") -> DropCollection:
    return DropCollection(id=name, operation="o", revision=3, sequence=0, collection="c")


def embed(name: str) -> EmbedSingle:
    return EmbedSingle(
        id=name, operation="o", revision=1, sequence=0, embedders=("m",),
        sha256s=("a",), embeddings=("e",),
    )  # fmt: skip


def test_an_outcome_is_reported_under_the_id_of_its_message(url: str, start: Start) -> None:
    reports = Reports()
    start({DropCollection: lambda message: ShardIndexed(points=5)}, reports)
    CeleryQueue(make_app(url)).publish(drop())
    (report,) = reports.wait_for(1)
    assert (report.id, report.operation, report.revision) == ("d", "o", 3)
    assert (report.task, report.outcome) == ("indexing.drop", {"points": 5})
    assert report.failure == ""
    assert report.elapsed_ms > 0


@pytest.mark.parametrize(
    "error", [NotFound("no"), DataLoss("no"), InvalidArgument("no", reason="DIMENSION_MISMATCH")]
)
def test_a_permanent_error_is_reported_at_once(url: str, start: Start, error: Any) -> None:
    reports, calls = Reports(), []

    def fail(message: Message) -> None:
        calls.append(message)
        raise error

    start({DropCollection: fail}, reports)
    CeleryQueue(make_app(url)).publish(drop())
    (report,) = reports.wait_for(1)
    assert (report.failure, report.failure_message) == (error.reason, "no")
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("down", reason="SERVER_DOWN"), "SERVER_DOWN"),
        (FailedPrecondition("wrong keys", reason="OBJECTS_DENIED"), "OBJECTS_DENIED"),
        (FatalWorkerError("nobody starts another process"), "WORKER_BROKEN"),
        (ValueError("secret"), "RETRIES_EXHAUSTED"),
    ],
)
def test_a_transient_error_is_repeated_and_then_reported_as_what_it_is(
    url: str, start: Start, error: Exception, reason: str
) -> None:
    reports, calls = Reports(), []

    def fail(message: Message) -> None:
        calls.append(message)
        raise error

    start({DropCollection: fail}, reports)
    CeleryQueue(make_app(url)).publish(drop())
    (report,) = reports.wait_for(1)
    assert (report.failure, report.passing) == (reason, reason != "RETRIES_EXHAUSTED")
    assert "secret" not in report.failure_message
    assert calls == [drop()] * 3


def test_a_repeat_that_works_is_a_success(url: str, start: Start) -> None:
    reports, calls = Reports(), []

    def recover(message: Message) -> ShardIndexed:
        calls.append(message)
        if len(calls) < 3:
            raise Unavailable("down")
        return ShardIndexed(points=1)

    start({DropCollection: recover}, reports)
    CeleryQueue(make_app(url)).publish(drop())
    (report,) = reports.wait_for(1)
    assert (report.failure, report.outcome) == ("", {"points": 1})


@pytest.mark.parametrize(("patience", "times"), [(SECONDS, 1), (0.0, 2)])
def test_work_is_repeated_for_its_report_only_when_the_broker_stays_away(
    url: str, start: Start, patience: float, times: int
) -> None:
    reports, calls, failures = Reports(), [], [Unavailable("broker is down")]

    def publish(report: Report) -> None:
        if failures:
            raise failures.pop()
        reports(report)

    start({DropCollection: lambda message: calls.append(message)}, publish, patience=patience)
    CeleryQueue(make_app(url)).publish(drop())
    assert reports.wait_for(1)[0].failure == ""
    assert calls == [drop()] * times


def test_messages_that_cannot_be_decoded_are_dropped_and_the_next_one_runs(
    url: str, start: Start
) -> None:
    reports = Reports()
    start({DropCollection: lambda message: ShardIndexed(points=1)}, reports)
    app = make_app(url)
    for body in ({"message": {"schema": 99}}, {"message": 5}, {"message": {"schema": 1}}, {}):
        app.send_task("indexing.drop", args=[1], kwargs=body, queue="index")
    app.send_task("no.such.task", queue="index")
    CeleryQueue(app).publish(drop("good"))
    assert [each.id for each in reports.wait_for(1)] == ["good"]


def test_the_handler_of_reports_is_not_reported_on(url: str, start: Start) -> None:
    handled, published = Reports(), Reports()
    start({Report: handled}, published)
    queue = CeleryQueue(make_app(url))
    start({DropCollection: lambda message: ShardIndexed(points=1)}, queue.publish)
    for number in range(3):
        queue.publish(drop(str(number)))
    assert len(handled.wait_for(3)) == 3
    assert published.wait_for(0) == []


def test_logs_of_a_handler_carry_operation_and_id(url: str, start: Start) -> None:
    seen: list[dict[str, Any]] = []
    reports = Reports()

    def handler(message: Message) -> ShardIndexed:
        seen.append(structlog.contextvars.get_contextvars())
        return ShardIndexed(points=0)

    start({DropCollection: handler}, reports)
    CeleryQueue(make_app(url)).publish(drop())
    reports.wait_for(1)
    assert seen == [{"task": "indexing.drop", "operation": "o", "id": "d"}]


def test_500_tasks_go_through_two_stages_on_two_workers(url: str, start: Start) -> None:
    embedded, dropped = Reports(), Reports()
    queue = CeleryQueue(make_app(url))

    def first(message: EmbedSingle) -> ShardEmbedded:
        queue.publish(drop(message.id))
        return ShardEmbedded(sha256s=tuple(message.sha256s), refused=())

    start({EmbedSingle: first}, embedded)
    start({DropCollection: lambda message: ShardIndexed(points=1)}, dropped, concurrency=2)
    for number in range(500):
        queue.publish(embed(str(number)))
    names = {str(number) for number in range(500)}
    assert {each.id for each in embedded.wait_for(500)} == names
    assert {each.id for each in dropped.wait_for(500)} == names


def test_a_published_message_starts_within_milliseconds(url: str, start: Start) -> None:
    started: list[float] = []
    reports = Reports()

    def handler(message: Message) -> ShardIndexed:
        started.append(time.perf_counter())
        return ShardIndexed(points=0)

    start({DropCollection: handler}, reports)
    queue = CeleryQueue(make_app(url))
    waits = []
    for number in range(50):
        published = time.perf_counter()
        queue.publish(drop())
        reports.wait_for(number + 1)
        waits.append(started[-1] - published)
    assert statistics.median(waits) < 0.01  # seconds; 1.3 ms where this was written


def test_a_stop_lets_the_running_task_end_and_leaves_the_rest_to_others(
    url: str, start: Start
) -> None:
    reports, begun, go_on = Reports(), threading.Event(), threading.Event()

    def slow(message: Message) -> ShardIndexed:
        begun.set()
        go_on.wait(SECONDS)
        return ShardIndexed(points=0)

    worker = start({DropCollection: slow}, reports)
    queue = CeleryQueue(make_app(url))
    for number in range(4):
        queue.publish(drop(str(number)))
    assert begun.wait(SECONDS)
    assert not worker.stop(0.05)
    go_on.set()
    assert worker.stop(SECONDS)
    reports.wait_for(1)
    start({DropCollection: slow}, reports)
    assert {each.id for each in reports.wait_for(4)} == {"0", "1", "2", "3"}


def test_a_repeat_that_waits_survives_the_stop_of_its_worker(url: str, start: Start) -> None:
    reports, failed = Reports(), threading.Event()

    def fail(message: Message) -> None:
        failed.set()
        raise Unavailable("down")

    worker = start({DropCollection: fail}, reports, retries=Retries(1, 1.0))
    CeleryQueue(make_app(url)).publish(drop())
    assert failed.wait(SECONDS)
    assert worker.stop(SECONDS)
    start({DropCollection: lambda message: ShardIndexed(points=7)}, reports)
    assert reports.wait_for(1)[0].outcome == {"points": 7}
