"""What became of an import."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What became of the rows and images of an import."""

    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    products_created: int = 0
    products_updated: int = 0
    products_unchanged: int = 0
    images_embedded: int = 0
    images_reused: int = 0
    images_refused: int = 0
    images_removed: int = 0
    points_indexed: int = 0
    products_removed: int = 0
    images_folded: int = 0
    images_withheld: int = 0
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejection:
    """One refused row, or one refused image of it (`row_rejected` false)."""

    row: int
    reason: str
    field: str
    value: str
    sku: str
    row_rejected: bool


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What became of the products that a full feed no longer lists: all are removed, or none.

    `refusal` (UPPER_SNAKE) and `message` say why none was. `spared_count` had a rejected row.
    """

    candidate_count: int
    removed_count: int
    spared_count: int
    refusal: str
    message: str


@dataclass(frozen=True, slots=True)
class StageTime:
    """What the workers of one stage (manifest, rows, embed, index) did for an import."""

    stage: str
    task_count: int
    item_count: int
    busy_seconds: float


@dataclass(frozen=True, slots=True)
class ProductChange:
    """What an import would do to a product: `created` or `updated`, and which fields change."""

    sku: str
    change: str
    fields: tuple[str, ...]
