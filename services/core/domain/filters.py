"""Conditions of a search."""

import math
from dataclasses import dataclass

from services.core.domain.catalog import NUMERIC_FIELDS, normal_category
from services.core.domain.errors import InvalidArgument

MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class NumericRange:
    """`min` <= field <= `max`; either end may be open. Products without the field do not match."""

    field: str
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        if self.field not in NUMERIC_FIELDS:
            raise InvalidArgument.field(
                "filter.ranges.field",
                f"'{self.field[:80]}' is not one of {', '.join(NUMERIC_FIELDS)}",
                reason="UNKNOWN_FILTER_FIELD",
            )
        for end in (self.min, self.max):
            if end is not None and math.isnan(end):
                raise InvalidArgument.field("filter.ranges", "an end is not a number")


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """All conditions must hold; within one list any value does. Empty lists do not restrict."""

    categories: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    skus: tuple[str, ...] = ()
    ranges: tuple[NumericRange, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "categories", tuple(normal_category(each) for each in self.categories)
        )
        for name in ("categories", "labels", "skus", "ranges"):
            if len(getattr(self, name)) > MAX_VALUES:
                raise InvalidArgument.field(f"filter.{name}", f"more than {MAX_VALUES} values")

    def __bool__(self) -> bool:
        return bool(self.categories or self.labels or self.skus or self.ranges)
