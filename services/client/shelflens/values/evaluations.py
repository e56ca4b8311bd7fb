"""Datasets, what models reach on them, and calibrations of scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shelflens.values.stages import RankingStages


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the bounds of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Dataset:
    """Query photos and gallery images, frozen. `state` is QUEUED, RUNNING, SUCCEEDED, FAILED,
    CANCELLING or CANCELLED; the counts are those of images and complete when it has SUCCEEDED.

    `absent_count` queries have no relevant image. `left_out_by_hash` and `left_out_near` images are
    not in the gallery because they are a query or look like its copy.
    """

    name: str
    catalog: str
    display_name: str
    allow_absent: bool
    state: str
    query_count: int
    gallery_count: int
    product_count: int
    absent_count: int
    left_out_by_hash: int
    left_out_near: int
    create_time: datetime | None
    error_reason: str
    error_message: str
    operation: str

    @property
    def done(self) -> bool:
        return self.state in DONE


@dataclass(frozen=True, slots=True)
class CategoryScore:
    """Share of a category's queries whose first product is right."""

    category: str
    recall_at_1: float
    query_count: int


@dataclass(frozen=True, slots=True)
class ModelMetrics:
    """What a model reached. Keys of `product` and `image` are `metric@k`: map, map_hits, map_all,
    mar, mar_ceiling, mp, recall."""

    model: str
    model_digest: str
    query_count: int
    absent_count: int
    gallery_count: int
    product: Mapping[str, Estimate]
    image: Mapping[str, Estimate]
    class_mean: float
    categories: tuple[CategoryScore, ...]
    classifier: Estimate | None
    expected_calibration_error: Estimate | None
    coverage: Estimate | None
    accepted_precision: Estimate | None
    absent_accepted: Estimate | None


@dataclass(frozen=True, slots=True)
class ModelDifference:
    """How much better `model` is than `baseline`, on the same queries, by metric."""

    baseline: str
    model: str
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How models were measured; see the arguments of `Client.create_evaluation`."""

    ks: tuple[int, ...]
    resamples: int
    confidence: float
    seed: int
    classifier: bool
    calibrate: str
    precision: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Models measured on a dataset. `state` is as in Dataset; `step` is what it is doing."""

    name: str
    dataset: str
    models: tuple[str, ...]
    stages: RankingStages
    options: EvaluationOptions
    state: str
    step: str
    metrics: tuple[ModelMetrics, ...]
    differences: tuple[ModelDifference, ...]
    has_report: bool
    create_time: datetime | None
    end_time: datetime | None
    error_reason: str
    error_message: str
    operation: str

    @property
    def done(self) -> bool:
        return self.state in DONE


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns scores of a model with some stages into probabilities. Answers of at least
    `threshold` are accepted; over 1 none is."""

    name: str
    model: str
    model_digest: str
    stages: RankingStages
    method: str
    threshold: float
    precision: float
    query_count: int
    gallery_count: int
    absent_share: float
    evaluation: str
    create_time: datetime | None


DONE = ("SUCCEEDED", "FAILED", "CANCELLED")
