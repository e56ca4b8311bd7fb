"""One line of JSON for each event, whoever logs it."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services.core.runtime.logs import configure_logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(each) for each in stream.getvalue().splitlines()]


def test_our_logs_are_json_with_time_level_logger_and_context(stream: io.StringIO) -> None:
    configure_logs("INFO", stream=stream)
    with structlog.contextvars.bound_contextvars(operation="o1"):
        structlog.get_logger("services.x").info("shard.done", rows=256, title="ä\nb")
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "shard.done",
        "level": "info",
        "logger": "services.x",
        "operation": "o1",
        "rows": 256,
        "title": "ä\nb",
    }


def test_library_logs_pass_the_same_way_with_their_extras(stream: io.StringIO) -> None:
    configure_logs("INFO", stream=stream)
    logging.getLogger("some.library").info("Running upgrade %s", "a1", extra={"step": 3})
    (line,) = lines(stream)
    assert (line["event"], line["step"], line["logger"]) == (
        "Running upgrade a1", 3, "some.library",
    )  # fmt: skip


def test_a_traceback_stays_within_its_line(stream: io.StringIO) -> None:
    configure_logs("INFO", stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("celery.worker").exception("failed")
        structlog.get_logger("x").exception("failed")
    assert [("ValueError: broken" in line["exception"]) for line in lines(stream)] == [True, True]


def test_levels_below_the_configured_one_and_celerys_chatter_are_dropped(
    stream: io.StringIO,
) -> None:
    configure_logs("INFO", stream=stream)
    structlog.get_logger("x").debug("quiet")
    logging.getLogger("celery.app.trace").info("Task succeeded")
    logging.getLogger("celery.app.trace").warning("heard")
    assert [line["event"] for line in lines(stream)] == ["heard"]


def test_a_second_configuration_replaces_the_first(stream: io.StringIO) -> None:
    configure_logs("INFO", stream=io.StringIO())
    configure_logs("ERROR", stream=stream)
    structlog.get_logger("x").info("quiet")
    structlog.get_logger("x").error("heard")
    assert [line["event"] for line in lines(stream)] == ["heard"]
