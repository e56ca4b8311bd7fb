"""What the server answers, as plain values. Times are UTC; scores: higher is nearer."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any

from shelflens.errors import ShelflensError


@dataclass(frozen=True, slots=True)
class Catalog:
    """A named set of products that are searched together.

    With `external_embeddings` they are made elsewhere and come with imports: no photo can be
    searched for.
    """

    name: str
    display_name: str
    model: str
    model_digest: str
    revision: int
    product_count: int
    image_count: int
    create_time: datetime | None
    update_time: datetime | None
    index_time: datetime | None
    embedding_dimension: int = 0
    external_embeddings: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """Something that is sold, known by its SKU."""

    name: str
    sku: str
    title: str
    description: str
    categories: tuple[str, ...]
    labels: tuple[str, ...]
    parent: str
    price: float | None
    stock: float | None
    attributes: Mapping[str, str]
    image_count: int
    revision: int
    update_time: datetime | None


@dataclass(frozen=True, slots=True)
class Image:
    """One stored picture of a product.

    `state` is PENDING, SEARCHABLE, REFUSED, WITHHELD (too many products show it) or FOLDED (an
    image of its product before it shows almost the same). One that is `embedding_only` was imported
    without a picture: there is nothing to download.
    """

    name: str
    sha256: str
    state: str
    refusal: str
    source: str
    create_time: datetime | None
    embedding_only: bool = False


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


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure removed: images of the product, and stored objects (pictures, embeddings).

    `shared_count` pictures stay, because other products show them too.
    """

    image_count: int
    object_count: int
    shared_count: int


@dataclass(frozen=True, slots=True)
class ImageEmbedding:
    """The embedding of one searchable image, by the model with that digest."""

    image: str
    sku: str
    values: tuple[float, ...]
    model_digest: str


@dataclass(frozen=True, slots=True)
class Operation:
    """Long-running work. `kind` is import, delete_catalog, erase_content, or the type name of
    metadata that this client does not know.

    `counts`, `rejections`, `prune` and `stages` are those of an import, `changes` those that a dry
    run (`validate_only`) found; `target` and `erased` are those of an erasure; `error` says why a
    finished one failed.
    """

    name: str
    kind: str
    done: bool
    state: str
    catalog: str = ""
    display_name: str = ""
    revision: int = 0
    total_rows: int = 0
    counts: ImportCounts = field(default_factory=ImportCounts)
    rejections: tuple[Rejection, ...] = ()
    errors_uri: str = ""
    validate_only: bool = False
    prune: PruneResult | None = None
    stages: tuple[StageTime, ...] = ()
    changes: tuple[ProductChange, ...] = ()
    target: str = ""
    erased: Erasure | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None
    error: ShelflensError | None = None

    def raise_for_error(self) -> "Operation":
        """Itself, unless it failed or was cancelled: then that error is raised."""
        if self.error is not None:
            raise self.error
        return self


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that no worker took; `reason` is UPPER_SNAKE, see docs/dead-letters.md.

    `headers` and `body` come with `get_dead_letter` alone; of a body beyond 256 KiB, whose length
    is `size_bytes`, only the first bytes.
    """

    name: str
    queue: str
    routing_key: str
    task: str
    operation: str
    reason: str
    detail: str
    content_type: str
    headers: Mapping[str, str]
    body: bytes
    size_bytes: int
    death_count: int
    create_time: datetime | None


def to_json(value: object) -> Any:
    """Any of the values above as what `json.dumps` takes."""
    if isinstance(value, ShelflensError):
        return {"code": value.code, "reason": value.reason, "message": value.message}
    if is_dataclass(value):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    return value
