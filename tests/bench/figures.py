"""What a benchmark yields: figures, some of them with a target, and reasons why it did not run."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a figure has to keep."""

    kind: Literal["at least", "at most"]
    bound: float

    def met_by(self, value: float) -> bool:
        return value >= self.bound if self.kind == "at least" else value <= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. Without a target it explains others and cannot fall short."""

    name: str
    value: float
    unit: str = ""
    target: Target | None = None

    @property
    def falls_short(self) -> bool:
        return self.target is not None and not self.target.met_by(self.value)

    @property
    def measured(self) -> str:
        """Value and unit, with three digits that say something."""
        digits = 0 if abs(self.value) >= 100 else 1 if abs(self.value) >= 10 else 3
        return f"{self.value:.{digits}f} {self.unit}".rstrip()

    @property
    def wanted(self) -> str:
        """The target in words."""
        if self.target is None:
            return "no target"
        return f"{self.target.kind} {self.target.bound:g} {self.unit}".rstrip()

    def __str__(self) -> str:
        verdict = ", falls short" if self.falls_short else ""
        return f"{self.name}: {self.measured} ({self.wanted}{verdict})"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A benchmark that could not run here, and what it needs."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: skipped ({self.reason})"


Outcome = Figure | Skipped


def at_least(bound: float) -> Target:
    return Target("at least", bound)


def at_most(bound: float) -> Target:
    return Target("at most", bound)
