"""How long the stages of a call took, and how much time it has left."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

STAGES = (
    "queue", "decode", "embed", "search", "expand", "rerank", "fold", "diversify", "records",
    "explain", "total",
)  # fmt: skip


class Stopwatch:
    """Adds up milliseconds by stage from its making on; `budget` is the time allowed in seconds."""

    def __init__(self, budget: float) -> None:
        self._start = time.perf_counter()
        self._budget = budget
        self._milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add({name: (time.perf_counter() - start) * 1e3})

    def add(self, milliseconds: Mapping[str, float]) -> None:
        """Adds times that were measured elsewhere."""
        for name, value in milliseconds.items():
            self._milliseconds[name] = self._milliseconds.get(name, 0.0) + value

    def elapsed(self) -> float:
        """Milliseconds since its making."""
        return (time.perf_counter() - self._start) * 1e3

    def remaining(self) -> float:
        """Seconds left of the budget, at least a millisecond."""
        return max(self._budget - self.elapsed() / 1e3, 1e-3)

    def timings(self) -> dict[str, float]:
        """Milliseconds by stage, in the order of the stages, with the total until now."""
        measured = {**self._milliseconds, "total": self.elapsed()}
        return {name: measured[name] for name in STAGES if name in measured}
