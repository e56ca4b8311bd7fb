"""The records of full feeds and of dry runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.core.shard_files import AcceptedRow


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What a full feed leaves out: products to remove, and those that a rejected row spares.

    `listed` are the products that imports before this one listed, these included.
    """

    candidates: int
    spared: int
    listed: int


@dataclass(frozen=True, slots=True)
class ChangedProduct:
    """What an import would do to a product: `created` or `updated`, and which fields."""

    sku: str
    change: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What merging rows would do. `images_removed`: those that their products no longer list."""

    created: int
    updated: int
    unchanged: int
    images_removed: int
    changes: tuple[ChangedProduct, ...]
    superseded: tuple[AcceptedRow, ...]
    missing: tuple[AcceptedRow, ...]


class FeedRecords(Protocol):
    """What a full feed removes, and what an import would change."""

    def spare(self, operation: str, skus: Sequence[str]) -> None:
        """The feed of this operation must not remove the products with these SKUs."""

    def count_unlisted(self, catalog: str, operation: str, revision: int) -> Unlisted:
        """How many products the import at `revision` did not list.

        Products that only the API made, and what is newer than the import, are no candidates.
        """

    def unlisted(self, catalog: str, operation: str, revision: int, limit: int) -> list[str]:
        """Ids of candidates."""

    def unlisted_skus(self, catalog: str, operation: str, revision: int, limit: int) -> list[str]:
        """SKUs of candidates, in the order of their ids."""

    def remove(self, catalog: str, products: Sequence[str], revision: int, now: datetime) -> None:
        """Tombstones products and their images, which become unplanned."""

    def preview(
        self, catalog: str, operation: str, rows: Sequence[AcceptedRow], revision: int
    ) -> Preview:
        """What merging the rows would do; rows whose product the operation met in an earlier call
        are left out. Writes nothing but that it has met these products."""

    def forget(self, operation: str) -> None:
        """Drops what was noted for a finished operation."""
