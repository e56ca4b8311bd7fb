"""The database's clock."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from services.core.ports import Clock

_SECONDS = 30.0


class RecordClock(Clock):
    """The time of `measure()`, asked again every half minute and counted on in between."""

    def __init__(self, measure: Callable[[], datetime], every: float = _SECONDS) -> None:
        self._measure = measure
        self._every = every
        self._lock = threading.Lock()
        self._measured: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Raises what `measure` raises."""
        with self._lock:
            if self._measured is None or time.monotonic() - self._measured[1] > self._every:
                self._measured = (self._measure(), time.monotonic())
            then, at = self._measured
            return then + timedelta(seconds=time.monotonic() - at)
