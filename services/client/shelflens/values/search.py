"""What a search answers. Higher scores are nearer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Hit:
    """One image with its score."""

    image: str
    score: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A product (or parent) with its best hits, best first."""

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


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """Results, best first, and what they were found with. `timings_ms` is by stage."""

    results: tuple[SearchResult, ...]
    model: str
    model_digest: str
    index_time: datetime | None
    truncated: bool
    timings_ms: Mapping[str, float]
