"""The clock that asks the records."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from services.core.adapters.sql_records.clock import RecordClock

THEN = datetime(2030, 1, 1, tzinfo=UTC)


def test_it_asks_once_and_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, seconds = [], [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])

    def measure() -> datetime:
        asked.append(1)
        return THEN + timedelta(hours=len(asked) - 1)

    clock = RecordClock(measure)
    assert clock.now() == THEN
    seconds[0] += 20
    assert clock.now() == THEN + timedelta(seconds=20)
    assert len(asked) == 1
    seconds[0] += 11  # after half a minute the records are asked again
    assert clock.now() == THEN + timedelta(hours=1)
    assert len(asked) == 2


def test_an_error_of_the_records_is_that_of_the_clock() -> None:
    def measure() -> datetime:
        raise ConnectionResetError("away")

    with pytest.raises(ConnectionResetError):
        RecordClock(measure).now()
