"""The records: the truth about catalogues, products, images, operations and embeddings.

`RecordStore.begin()` opens one transaction; the repositories on it read and write within it, and
it commits when the block ends without an exception. Transactions that write are serialised per
catalogue at least; keep them short and free of other I/O where possible.

Rows are never lost to a delete: a deleted product or image is a tombstone until it is purged.
A row of `product_images` whose `plan_revision` is empty is *unplanned*: the collection does not
show it as the records do, and the coordinator owes it an index plan.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.core.content_ports import ErasingRecords, ExportRecords
from services.core.dead_letter_ports import DeadLetterRecords
from services.core.deployment_ports import Deployment, DeploymentRecords, ModelRecords
from services.core.domain.catalog import Catalog, Image, Product, ProductFields
from services.core.duplicate_ports import DuplicateRecords
from services.core.embedding_ports import EmbeddingRecords
from services.core.evaluation_ports import (
    CalibrationRecords,
    DatasetRecords,
    EvaluationRecords,
    FeedbackRecords,
)
from services.core.feed_ports import FeedRecords
from services.core.shard_files import AcceptedRow
from services.core.work_ports import OperationRecords, RequestRecords, ShardRecords


class CatalogRecords(Protocol):
    """Catalogues and their deployments."""

    def create(
        self, catalog: str, display_name: str, model: str, now: datetime, *, shared: bool = False
    ) -> Catalog:
        """With a collection of its own, or in one that it shares with others of its model.

        Raises AlreadyExists (CATALOG_EXISTS), NotFound (MODEL_NOT_FOUND).
        """

    def get(self, catalog: str) -> Catalog:
        """Raises NotFound (CATALOG_NOT_FOUND), also for one that is being deleted."""

    def page(self, after: str, limit: int) -> list[Catalog]:
        """Those with an id greater than `after`, in the order of ids."""

    def rename(self, catalog: str, display_name: str, now: datetime) -> Catalog: ...

    def keep_photos(self, catalog: str, days: int, now: datetime) -> Catalog:
        """Keeps users' photos with their feedback for so many days from now on; 0: not at all,
        and those that are kept expire now. Raises NotFound (CATALOG_NOT_FOUND)."""

    def photo_days(self, catalog: str) -> int:
        """The days of `keep_photos`. Raises NotFound (CATALOG_NOT_FOUND)."""

    def next_revision(self, catalog: str) -> int:
        """Counts up and returns the revision of a write that is accepted in this transaction."""

    def deployment(self, catalog: str) -> Deployment:
        """The live one. Raises NotFound (CATALOG_NOT_FOUND)."""

    def mark_deleting(self, catalog: str) -> None:
        """Hides it from everything but its deletion."""

    def remove_rows(self, catalog: str, limit: int) -> int:
        """Deletes up to `limit` rows that belong to it, at last its own; 0 when all are gone."""

    def indexed(self, catalog: str, now: datetime) -> None:
        """A change became searchable now."""


class ProductRecords(Protocol):
    """Products and their images."""

    def create(self, catalog: str, fields: ProductFields, revision: int, now: datetime) -> Product:
        """Raises AlreadyExists (PRODUCT_EXISTS) unless there is none or only a tombstone."""

    def get(self, catalog: str, product: str) -> Product:
        """Raises NotFound (PRODUCT_NOT_FOUND)."""

    def get_many(self, catalog: str, products: Sequence[str]) -> dict[str, Product]:
        """Those that exist and are not deleted. `image_count` is 0 in these."""

    def page(self, catalog: str, after: str, limit: int) -> list[Product]: ...

    def update(
        self, catalog: str, product: str, fields: ProductFields, revision: int, now: datetime
    ) -> Product:
        """Replaces the fields; its images become unplanned. Raises NotFound."""

    def delete(self, catalog: str, product: str, revision: int, now: datetime) -> None:
        """Tombstones the product and its images, which become unplanned. Raises NotFound."""

    def add_image(
        self, catalog: str, product: str, sha256: str, revision: int, now: datetime
    ) -> Image:
        """An uploaded image, pending; a repeat returns the stored record. Raises NotFound.

        One that was refused or folded is pending again.
        """

    def get_image(self, catalog: str, product: str, sha256: str) -> Image:
        """Raises NotFound (IMAGE_NOT_FOUND)."""

    def page_images(self, catalog: str, product: str, after: str, limit: int) -> list[Image]:
        """Raises NotFound (PRODUCT_NOT_FOUND)."""

    def delete_image(
        self, catalog: str, product: str, sha256: str, revision: int, now: datetime
    ) -> None:
        """Tombstones one image, which becomes unplanned. Raises NotFound (IMAGE_NOT_FOUND)."""

    def live(self, catalog: str, images: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the (product, sha256) pairs that are neither deleted nor kept out of search."""


@dataclass(frozen=True, slots=True)
class MergeOutcome:
    """What merging a shard's rows did.

    The counts are differences: a product found unchanged by one shard and changed by a later one
    of the same operation counts -1 unchanged and +1 updated there. `superseded` are rows whose
    product a newer write deleted.
    """

    created: int
    updated: int
    unchanged: int
    products: tuple[str, ...]
    superseded: tuple[AcceptedRow, ...]
    missing: tuple[AcceptedRow, ...]  # rows without an image column for products that do not exist
    disagreements: tuple[tuple[AcceptedRow, str], ...]  # (row, field) whose value was not taken


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """One image of a product, whole.

    Also images that are kept out of search are `deleted` here: the collection must not have them.
    """

    product: Product
    sha256: str
    deleted: bool
    searchable: bool


class ImportRecords(Protocol):
    """What the coordinator does to products in bulk. All take a shard's worth at a time."""

    def merge_rows(
        self, catalog: str, rows: Sequence[AcceptedRow], revision: int, now: datetime
    ) -> MergeOutcome:
        """Merges rows into products and images as docs/architecture.md says."""

    def note_same(self, catalog: str, digests: Mapping[str, str], revision: int) -> set[str]:
        """Products, by id, whose only row says what it said last time, digest and all: they are
        noted as listed at `revision`, and their rows need no merging. Those that the import has
        met before, and those that something else changed since, are not among them."""

    def stale_images(self, catalog: str, revision: int, limit: int) -> list[tuple[str, str]]:
        """Imported images that products listed at `revision` no longer list.

        A product none of whose listed images is usable keeps those that it had.
        """

    def discard_empty(self, catalog: str, revision: int) -> int:
        """Forgets products that the import at `revision` made and that have no usable image."""

    def delete_images(
        self, catalog: str, images: Sequence[tuple[str, str]], revision: int, now: datetime
    ) -> None:
        """Tombstones them; they become unplanned."""

    def refuse_images(self, catalog: str, refused: Mapping[str, str]) -> None:
        """Marks every image of the catalogue with these hashes as refused, hash -> reason."""

    def unplanned(self, catalog: str, products: Sequence[str]) -> list[PlanEntry]:
        """Unplanned images of these products that are not refused."""

    def next_products(self, catalog: str, after: str, limit: int) -> list[str]:
        """Ids of products above `after` that have planned images, in order."""

    def present(self, catalog: str, products: Sequence[str]) -> list[PlanEntry]:
        """What a collection should hold of these products: their planned images that are neither
        deleted, refused nor kept out of search."""

    def present_count(self, catalog: str) -> int:
        """How many images a collection of the catalogue should hold once all plans are through."""

    def planned(
        self, catalog: str, images: Sequence[tuple[str, str]], plan_revision: int | None
    ) -> None:
        """Notes which plan writes these images; None makes them unplanned again."""

    def indexed(self, catalog: str, plan_revision: int) -> None:
        """The plan is in the collection: its images are searchable."""

    def deleted_after(self, catalog: str, plan_revision: int) -> list[tuple[str, str]]:
        """Images that a later plan removed: an upsert that ran late may have brought them back."""


class Records(Protocol):
    """The repositories of one transaction."""

    @property
    def catalogs(self) -> CatalogRecords: ...
    @property
    def models(self) -> ModelRecords: ...
    @property
    def deployments(self) -> DeploymentRecords: ...
    @property
    def products(self) -> ProductRecords: ...
    @property
    def imports(self) -> ImportRecords: ...
    @property
    def feeds(self) -> FeedRecords: ...
    @property
    def embeddings(self) -> EmbeddingRecords: ...
    @property
    def operations(self) -> OperationRecords: ...
    @property
    def shards(self) -> ShardRecords: ...
    @property
    def requests(self) -> RequestRecords: ...
    @property
    def erasing(self) -> ErasingRecords: ...
    @property
    def export(self) -> ExportRecords: ...
    @property
    def duplicates(self) -> DuplicateRecords: ...
    @property
    def dead_letters(self) -> DeadLetterRecords: ...
    @property
    def datasets(self) -> DatasetRecords: ...
    @property
    def evaluations(self) -> EvaluationRecords: ...
    @property
    def calibrations(self) -> CalibrationRecords: ...
    @property
    def feedback(self) -> FeedbackRecords: ...


class RecordStore(Protocol):
    """Durable records behind transactions."""

    def begin(
        self, *, write: bool = False, snapshot: bool = True
    ) -> AbstractContextManager[Records]:
        """One transaction: commits at the end of the block, rolls back on an exception.

        Reads see one moment. Without `snapshot` each of them sees what is committed by then, which
        is cheaper where a server holds the records, and enough for a question or two.
        """
