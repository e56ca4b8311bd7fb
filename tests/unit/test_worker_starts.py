"""A worker says that it starts what the coordinator has published again."""

import threading
import uuid
from typing import Any

from services.core.adapters.celery_queue import CeleryQueue
from services.core.domain.errors import Unavailable
from services.core.messages import DropCollection, Report
from services.core.outcomes import ShardIndexed
from services.core.runtime.celery_app import make_app
from services.core.runtime.worker import Retries, register, start_worker

SECONDS = 20.0


def run(*attempts: int, refused: bool = False) -> list[Any]:
    """What happens, in order, to one message of each attempt: "handled", or a report."""
    url = f"memory://{uuid.uuid4().hex}/"
    happened: list[Any] = []
    done = threading.Semaphore(0)

    def handle(message: DropCollection) -> ShardIndexed:
        happened.append("handled")
        return ShardIndexed(points=1)

    def report(each: Report) -> None:
        if refused and each.started:
            raise Unavailable("the broker is away")
        happened.append(each)
        if not each.started:
            done.release()

    app = make_app(url)
    register(app, {DropCollection: handle}, report, Retries(1, 0.01))
    worker = start_worker(app, ["index"], 1, "w")
    try:
        for attempt in attempts:
            CeleryQueue(make_app(url)).publish(
                DropCollection(
                    id="o/0/drop/0", operation="o", revision=1, sequence=0, collection="c",
                    attempt=attempt,
                )
            )  # fmt: skip
        for _ in attempts:
            assert done.acquire(timeout=SECONDS)
    finally:
        assert worker.stop(SECONDS)
    return happened


def test_a_message_published_again_is_reported_as_started_before_it_is_handled() -> None:
    start, handled, answer = run(3)
    assert handled == "handled"
    assert (start.started, start.id, start.attempt) == (True, "o/0/drop/0", 3)
    assert (answer.started, answer.outcome) == (False, {"points": 1})


def test_a_first_attempt_costs_no_message_more() -> None:
    handled, answer = run(1)
    assert handled == "handled"
    assert not answer.started


def test_a_start_that_cannot_be_told_stops_no_work() -> None:
    handled, answer = run(2, refused=True)
    assert handled == "handled"
    assert not answer.started
