"""What an evaluation asks, and what it answers."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from services.core.domain.calibration import METHODS
from services.core.domain.errors import InvalidArgument

LEVELS = ("product", "image")
# What an interval and a gate may be about: `name@k` for each k of the options, and recall@1.
METRICS = (
    "map",  # mean average precision, denominator min(R, k)
    "map_hits",  # the same with "relevant results found within k" as denominator
    "map_all",  # the same with R as denominator
    "mar",  # mean recall: found within k / R (eProduct's MAR)
    "mar_ceiling",  # mean of min(k, R) / R: what no ranking can exceed
    "mp",  # mean precision within k
    "recall",  # share of queries with at least one relevant result within k
)
_MOST_K = 1_000


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How models are measured. `ks` are the ranks of the metrics, ascending. `classifier` also
    fits a logistic regression to the gallery's embeddings and tells its accuracy on the queries,
    by product. `calibrate` is empty or a method of core.domain.calibration, `precision` its target.
    `resamples` and `confidence` are of the bootstrap intervals. `failures` pairs are shown.

    Raises InvalidArgument (OPTION_INVALID).
    """

    ks: tuple[int, ...] = (1, 5, 10)
    resamples: int = 1_000
    confidence: float = 0.95
    seed: int = 0
    classifier: bool = False
    calibrate: str = ""
    precision: float = 0.95
    failures: int = 24

    def __post_init__(self) -> None:
        ascending = list(self.ks) == sorted(set(self.ks))
        _check(bool(self.ks) and ascending, "ks", "is not ascending, or empty")
        _check(self.ks[0] >= 1 and self.ks[-1] <= _MOST_K, "ks", f"is not from 1 to {_MOST_K}")
        _check(100 <= self.resamples <= 100_000, "resamples", "is not from 100 to 100000")
        _check(0.5 <= self.confidence < 1, "confidence", "is not from 0.5 to below 1")
        known = self.calibrate in ("", *METHODS)
        _check(known, "calibrate", f"'{self.calibrate}' is none of {', '.join(METHODS)}")
        right = math.isfinite(self.precision) and 0.5 <= self.precision < 1
        _check(right, "precision", "is not from 0.5 to below 1")
        _check(0 <= self.failures <= 100, "failures", "is not from 0 to 100")

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises InvalidArgument (OPTION_INVALID)."""
        try:
            data = json.loads(text)
            return cls(**{**data, "ks": tuple(data["ks"])} if "ks" in data else data)
        except (TypeError, ValueError, KeyError) as error:
            raise InvalidArgument(f"options: {error}", reason="OPTION_INVALID") from error


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the bounds of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one model reached. Keys of `product` and `image` (levels) are `metric@k`, such as
    `map@10` and `recall@1`.

    `per_category` has the share of queries whose first product is right and their number, by
    category; `class_mean` is the mean over products of their queries' recall@1. `classifier` is the
    accuracy of the logistic regression, where asked for. `expected_calibration_error` and what
    follows it are of the half of the products that calibration was not fitted on, where asked for:
    `coverage` is the share of queries accepted, `accepted_precision` how many of those are right,
    `absent_accepted` the share of queries without a product in the gallery that are accepted.
    `queries` have a relevant image; those without count in `absent`, and in calibration alone.
    """

    queries: int
    absent: int
    gallery_images: int
    gallery_products: int
    product: dict[str, Estimate]
    image: dict[str, Estimate]
    class_mean: float
    per_category: dict[str, tuple[float, int]]
    classifier: Estimate | None = None
    expected_calibration_error: Estimate | None = None
    coverage: Estimate | None = None
    accepted_precision: Estimate | None = None
    absent_accepted: Estimate | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {
            "per_category": {name: list(each) for name, each in self.per_category.items()}
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        made = dict(data)
        for level in LEVELS:
            made[level] = {name: Estimate(**each) for name, each in data[level].items()}
        for each in fields(cls):
            if each.type in ("Estimate | None", Estimate | None) and made.get(each.name):
                made[each.name] = Estimate(**data[each.name])
        made["per_category"] = {name: tuple(each) for name, each in data["per_category"].items()}
        return cls(**made)


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better model `model` is than model `baseline` (places in the evaluation): paired,
    at product level, by metric."""

    baseline: int
    model: int
    metrics: dict[str, Estimate] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        metrics = {name: Estimate(**each) for name, each in data["metrics"].items()}
        return cls(data["baseline"], data["model"], metrics)


@dataclass(frozen=True, slots=True)
class Gate:
    """What a model must reach to be deployed: `metric` (such as "map@10", product level) on
    `dataset` (id) at least `minimum` above the live model's. With `override` a worse one is
    deployed too, and that is recorded. Raises InvalidArgument (GATE_INVALID)."""

    dataset: str
    metric: str = "map@10"
    minimum: float = 0.0
    override: bool = False

    def __post_init__(self) -> None:
        name, _, rank = self.metric.partition("@")
        known = name in METRICS and name != "mar_ceiling" and rank.isdecimal()
        if not known or not 1 <= int(rank) <= _MOST_K:
            raise InvalidArgument.field(
                "gate.metric",
                f"'{self.metric[:80]}' is no metric: write one of {', '.join(METRICS)}, @ and a "
                "rank, such as map@10",
                reason="GATE_INVALID",
            )
        if not (math.isfinite(self.minimum) and -1 <= self.minimum <= 1):
            raise InvalidArgument.field(
                "gate.minimum_difference", "is not from -1 to 1", reason="GATE_INVALID"
            )


def _check(right: bool, name: str, wrong: str) -> None:
    if not right:
        raise InvalidArgument.field(f"options.{name}", wrong, reason="OPTION_INVALID")
