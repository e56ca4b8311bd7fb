"""What a search answers. Higher scores are nearer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Hit:
    """One image with its score. `reranked` is None without re-ranking."""

    image: str
    score: float
    reranked: float | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A product (or parent) with its best hits, best first.

    `score` is the model's, `reranked` what re-ranking made of it. `folded_products` are
    near-duplicates that this result stands for. `explanation` is a PNG, where asked for.
    """

    product: str
    sku: str
    title: str
    category: str
    score: float
    image: str
    hits: tuple[Hit, ...]
    parent: str
    price: float | None
    stock: float | None
    reranked: float | None = None
    folded_products: tuple[str, ...] = ()
    explanation: bytes = b""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How sure the first result is: the probability that it is right, and whether that is too low
    to be accepted (`no_match`)."""

    probability: float
    no_match: bool
    threshold: float
    calibration: str


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """Results, best first, and what they were found with. `timings_ms` is by stage.

    `verdict` is None where nothing is calibrated for these stages. `skipped_stages` did not fit the
    latency budget. `feedback_token` goes with `record_feedback`.
    """

    results: tuple[SearchResult, ...]
    model: str
    model_digest: str
    index_time: datetime | None
    truncated: bool
    timings_ms: Mapping[str, float]
    verdict: Verdict | None = None
    skipped_stages: tuple[str, ...] = ()
    feedback_token: str = ""
    warnings: tuple[str, ...] = ()
