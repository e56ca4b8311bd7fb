"""What the stages of a search cost, and which of them still fit into a request's latency budget."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.core.domain.stages import Stages
from services.gateway.handlers.stopwatch import Stopwatch

EXPLAIN = "explain"
# Milliseconds a unit until a stage was measured: pessimistic, a first request must not be late.
_FIRST_GUESSES = {"expand": 30.0, "rerank": 0.4, "fold": 0.2, "diversify": 0.4, EXPLAIN: 500.0}
_NEWEST = 0.2  # weight of the newest time in the running mean
_FORGET = 0.98  # at each skip: a stage that was slow once is tried again some day


class StageCosts:
    """Running means of what stages take in this process. Safe to call from many threads.

    Units: searches to expand, images to re-rank, results to fold and to diversify, pictures to
    explain. A mean is of about as many units (the next power of two): what a stage takes need not
    grow in proportion.
    """

    def __init__(self) -> None:
        self._rates: dict[tuple[str, int], float] = {}
        self._lock = threading.Lock()

    def estimate(self, stage: str, units: int) -> float:
        """Milliseconds that it will take."""
        return self._rate(stage, units) * units

    def note(self, stage: str, units: int, milliseconds: float) -> None:
        """It took that long."""
        with self._lock:
            rate, newest = self._rate(stage, units), milliseconds / max(units, 1)
            self._rates[_key(stage, units)] = rate + _NEWEST * (newest - rate)

    def note_skip(self, stage: str, units: int) -> None:
        """It did not fit."""
        with self._lock:
            self._rates[_key(stage, units)] = self._rate(stage, units) * _FORGET

    def _rate(self, stage: str, units: int) -> float:
        return self._rates.get(_key(stage, units), _FIRST_GUESSES[stage])


class Course:
    """One request's way through the stages that it asks for.

    `budget` in milliseconds, 0 for none. `settled` are the stages that the first page of the same
    request skipped: further pages skip these and no others, so that all are of one ranking.
    """

    def __init__(
        self,
        stages: Stages,
        stopwatch: Stopwatch,
        costs: StageCosts,
        budget: float = 0.0,
        settled: tuple[str, ...] | None = None,
    ) -> None:
        self.stages = stages
        self.stopwatch = stopwatch
        self._costs = costs
        self._budget = budget
        self._settled = settled
        self._skipped = set(settled or ()) & set(stages.names)

    @property
    def skipped(self) -> tuple[str, ...]:
        """What did not fit, in the order of the stages."""
        names = (*self.stages.names, EXPLAIN)
        return tuple(each for each in names if each in self._skipped)

    @property
    def ran(self) -> Stages:
        """The stages that were not skipped."""
        return self.stages.without(*self._skipped)

    def fits(self, stage: str, units: int) -> bool:
        """Whether a stage that was asked for is to run; one that was skipped stays so."""
        if stage in self._skipped or (stage != EXPLAIN and stage not in self.stages.names):
            return False
        if not self._budget or (self._settled is not None and stage != EXPLAIN):
            return True
        if self.stopwatch.elapsed() + self._costs.estimate(stage, units) <= self._budget:
            return True
        self._skipped.add(stage)
        self._costs.note_skip(stage, units)
        return False

    @contextmanager
    def taking(self, stage: str, units: int) -> Iterator[None]:
        """Around a stage that runs: its time counts under its own name."""
        start = time.perf_counter()
        with self.stopwatch.stage(stage):
            yield
        self._costs.note(stage, units, (time.perf_counter() - start) * 1e3)


def _key(stage: str, units: int) -> tuple[str, int]:
    return stage, max(units - 1, 0).bit_length()
