"""Catalogues, products and images as values that check themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from services.core.domain import names
from services.core.domain.errors import InvalidArgument

CATEGORY_SEPARATOR = " > "
MAX_SKU, MAX_TITLE, MAX_DESCRIPTION, MAX_WORD = 200, 1_000, 20_000, 300
MAX_CATEGORIES, MAX_LABELS, MAX_ATTRIBUTES = 32, 64, 64
NUMERIC_FIELDS = ("price", "stock")


@dataclass(frozen=True, slots=True)
class ProductFields:
    """What a seller says about a product. Texts are stripped and checked on construction.

    Raises InvalidArgument (metadata `field`) for a missing or over-long SKU, over-long texts, too
    many entries, and numbers that are negative or not finite.
    """

    sku: str
    title: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    parent: str = ""
    price: float | None = None
    stock: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, limit in (
            ("sku", MAX_SKU),
            ("title", MAX_TITLE),
            ("description", MAX_DESCRIPTION),
            ("parent", MAX_SKU),
        ):
            object.__setattr__(self, name, _text(name, getattr(self, name), limit))
        if not self.sku:
            raise InvalidArgument.field("sku", "is empty", reason="SKU_MISSING")
        object.__setattr__(self, "categories", _categories(tuple(self.categories)))
        object.__setattr__(self, "labels", _words("labels", self.labels, MAX_LABELS))
        for name in NUMERIC_FIELDS:
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if len(self.attributes) > MAX_ATTRIBUTES:
            raise InvalidArgument.field("attributes", f"more than {MAX_ATTRIBUTES} entries")
        for key, value in self.attributes.items():
            _text("attributes", key, MAX_WORD)
            _text(f"attributes.{key[:40]}", value, MAX_DESCRIPTION)

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> "ProductFields":
        """From values of every field that passed the checks before, which are not made again."""
        fields = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(fields, name, value)
        return fields

    def with_checked(self, values: Mapping[str, Any]) -> "ProductFields":
        """These fields with values that another ProductFields has checked."""
        own = {each.name: getattr(self, each.name) for each in _FIELDS}
        return self.checked({**own, **values})

    @property
    def product_id(self) -> str:
        """Id of the product within its catalogue, derived from the SKU."""
        return names.product_id(self.sku)


_FIELDS = dataclass_fields(ProductFields)


@dataclass(frozen=True, slots=True)
class Catalog:
    """A catalogue's record. Times are UTC.

    `dimension` is that of its model's embeddings; those of an `external` model come with imports.
    `feedback_photo_days` is how long users' photos are kept with their feedback; 0: not at all.
    """

    id: str
    display_name: str
    revision: int
    model: str
    model_digest: str
    dimension: int
    external: bool
    collection: str
    product_count: int
    image_count: int
    create_time: datetime
    update_time: datetime
    index_time: datetime | None
    deleting: bool = False
    feedback_photo_days: int = 0


@dataclass(frozen=True, slots=True)
class Product:
    """A product's record."""

    catalog: str
    id: str
    fields: ProductFields
    image_count: int
    revision: int
    update_time: datetime


class ImageState(StrEnum):
    """How far an image is on its way into search."""

    PENDING = "pending"
    SEARCHABLE = "searchable"
    REFUSED = "refused"
    WITHHELD = "withheld"  # too many products show the same picture
    FOLDED = "folded"  # an image of its product that comes before it shows almost the same


HIDDEN = (ImageState.WITHHELD, ImageState.FOLDED)  # usable, but kept out of search


@dataclass(frozen=True, slots=True)
class Image:
    """One image of one product."""

    catalog: str
    product: str
    sha256: str
    state: ImageState
    refusal: str
    source: str
    revision: int
    create_time: datetime


def normal_category(path: str) -> str:
    """`Drinks>Juice ` -> `Drinks > Juice`: levels stripped, empty levels dropped."""
    return CATEGORY_SEPARATOR.join(level.strip() for level in path.split(">") if level.strip())


@lru_cache(1_024)
def category_prefixes(categories: tuple[str, ...]) -> tuple[str, ...]:
    """Every path and all its ancestors, each once: what a filter on a super-category matches."""
    prefixes: dict[str, None] = {}
    for path in categories:
        levels = path.split(CATEGORY_SEPARATOR)
        for depth in range(1, len(levels) + 1):
            prefixes[CATEGORY_SEPARATOR.join(levels[:depth])] = None
    return tuple(prefixes)


def _text(name: str, value: str, limit: int) -> str:
    stripped = value.replace("\x00", "").strip()
    if len(stripped) > limit:
        raise InvalidArgument.field(
            name, f"is {len(stripped)} characters long; at most {limit}", reason="FIELD_TOO_LONG"
        )
    try:
        stripped.encode()
    except UnicodeEncodeError:
        raise InvalidArgument.field(
            name, "is not valid Unicode text", reason="FIELD_NOT_TEXT"
        ) from None
    return stripped


def _words(name: str, values: Iterable[str], limit: int) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word for v in values if (word := _text(name, v, MAX_WORD))))
    if len(words) > limit:
        raise InvalidArgument.field(name, f"more than {limit} entries", reason="TOO_MANY_VALUES")
    return words


@lru_cache(1_024)  # thousands of rows share a few lists of categories
def _categories(paths: tuple[str, ...]) -> tuple[str, ...]:
    return _words("categories", map(normal_category, paths), MAX_CATEGORIES)


def _number(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if not 0 <= value < 1e15:  # also false for NaN
        raise InvalidArgument.field(
            name, f"{value} is not a number from 0 to 1e15", reason="NUMBER_OUT_OF_RANGE"
        )
    return float(value)
