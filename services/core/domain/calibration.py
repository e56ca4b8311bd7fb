"""From a score and its lead to the probability that the first product is the right one.

A logistic function of both (Platt 1999), and where it was fitted an isotonic step function of its
output (Zadrozny and Elkan 2002). Fitted in services.evaluation, applied with numpy alone.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np

from services.core.domain.errors import InvalidArgument

METHODS = ("platt", "isotonic")


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(right) = f(sigmoid(intercept + score_weight * score + margin_weight * margin)).

    `margin` is the score of the first product less that of the second (of another product; 0
    where there is none). `knots` are (input, output) pairs of f, a piecewise linear function that
    never falls; without any f is the identity. Answers with a probability of at least `threshold`
    are accepted: a share of `precision` of those was right where it was fitted. A threshold over 1
    accepts none. `gallery_images` and `absent_share` tell what it was fitted on: the number of
    images searched, and the share of queries whose product was not among them; `accepted_share` the
    share of them that it accepts. Raises InvalidArgument (INVALID_CALIBRATION).
    """

    method: str
    intercept: float
    score_weight: float
    margin_weight: float
    knots: tuple[tuple[float, float], ...]
    threshold: float
    precision: float
    queries: int
    gallery_images: int
    absent_share: float
    accepted_share: float

    def __post_init__(self) -> None:
        numbers = (
            self.intercept, self.score_weight, self.margin_weight, self.threshold, self.precision,
            self.absent_share, self.accepted_share, *(each for knot in self.knots for each in knot),
        )  # fmt: skip
        if self.method not in METHODS:
            raise _invalid(f"method '{self.method}' is none of {', '.join(METHODS)}")
        if not all(map(math.isfinite, numbers)):
            raise _invalid("it holds values that are not finite")
        for column in zip(*self.knots, strict=True):
            if any(later < earlier for earlier, later in pairwise(column)):
                raise _invalid("its knots fall")

    def probability(self, score: float, margin: float) -> float:
        """In [0, 1]."""
        logit = self.intercept + self.score_weight * score + self.margin_weight * margin
        raw = 1.0 / (1.0 + math.exp(-min(max(logit, -500.0), 500.0)))
        if not self.knots:
            return raw
        inputs, outputs = zip(*self.knots, strict=True)
        return min(max(float(np.interp(raw, inputs, outputs)), 0.0), 1.0)

    def accepts(self, probability: float) -> bool:
        """Whether an answer of this probability is good enough; otherwise it is a `no_match`."""
        return probability >= self.threshold

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"knots": [list(knot) for knot in self.knots]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises InvalidArgument (INVALID_CALIBRATION)."""
        try:
            knots = tuple((float(x), float(y)) for x, y in data["knots"])
            return cls(**{**data, "knots": knots})
        except (KeyError, TypeError, ValueError) as error:
            raise _invalid(str(error)) from error


def _invalid(why: str) -> InvalidArgument:
    return InvalidArgument(f"calibration: {why}", reason="INVALID_CALIBRATION")
