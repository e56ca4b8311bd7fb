"""Catalogues, products and images."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Catalog:
    """A named set of products that are searched together.

    With `external_embeddings` they are made elsewhere and come with imports: no photo can be
    searched for. `feedback_photo_days`: how long users' photos are kept with their feedback.
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
    feedback_photo_days: int = 0


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
class ImageEmbedding:
    """The embedding of one searchable image, by the model with that digest."""

    image: str
    sku: str
    values: tuple[float, ...]
    model_digest: str
