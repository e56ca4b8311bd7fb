"""What an import was told beside its rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from services.core.domain.errors import InvalidArgument

MAX_REMOVALS = 0.05


@dataclass(frozen=True, slots=True)
class ImportRules:
    """`prune` removes products that the manifest, then the full feed, no longer lists, unless they
    are more than `max_removals` (a share) of those that imports listed before. `row_count` is what
    the sender wrote into the manifest; 0, unknown, lets nothing be removed. `validate_only` changes
    nothing. `max_errors` rejected rows are let through, None: any number. Every row carries an
    embedding by the model `embeddings_model` (id), unless that is empty. With `by_reference` images
    in objects stay where they are.

    Raises InvalidArgument that names the field that is out of range.
    """

    prune: bool = False
    max_removals: float = MAX_REMOVALS
    row_count: int = 0
    validate_only: bool = False
    max_errors: int | None = None
    fold_duplicates: bool = False
    embeddings_model: str = ""
    by_reference: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_removals <= 1:
            raise InvalidArgument.field("max_removals", "is a share of 0 to 1")
        if self.max_errors is not None and self.max_errors < 0:
            raise InvalidArgument.field("max_errors", "is a number of rows")
        if self.row_count < 0:
            raise InvalidArgument.field("row_count", "is a number of rows")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Self:
        """From the request of an operation, which holds them among others."""
        known = (each.name for each in fields(cls))
        return cls(**{name: request[name] for name in known if name in request})
