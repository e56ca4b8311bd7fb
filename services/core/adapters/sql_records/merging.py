"""How the rows of an import become products and images (docs/architecture.md).

Pure: works on what is stored and what the rows say, and collects what has to be written.
`revision` is that of the import. A newer revision found in the records always wins.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from services.core.domain import names
from services.core.domain.catalog import ImageState, ProductFields
from services.core.record_ports import MergeOutcome
from services.core.shard_files import AcceptedRow

_MERGED = (
    "title", "description", "categories", "labels", "parent", "price", "stock", "attributes",
)  # fmt: skip
_IN_ROW = 12  # bits
_LAST = (1 << _IN_ROW) - 1
_IN_PAYLOAD = ("sku", "categories", "labels", "parent", "price", "stock")


@dataclass(slots=True)
class StoredProduct:
    """A row of `products`, also while it changes."""

    id: str
    fields: ProductFields
    revision: int
    seen_revision: int
    listed_revision: int
    outcome: str
    deleted: bool
    update_time: datetime | None
    row_digest: str | None = None
    changed: bool = False


@dataclass(slots=True)
class StoredImage:
    """A row of `product_images`, also while it changes."""

    state: ImageState
    source: str
    origin: str
    position: int | None
    revision: int
    plan_revision: int | None
    deleted: bool
    create_time: datetime | None
    fresh: bool = False  # to be written whole; of the others only the revision may be new


class ShardMerge:
    """Merges the rows of one shard, in their order, into what is stored.

    `unfinished` has the revisions of imports that run: which of their products stay is not known.
    """

    def __init__(
        self,
        revision: int,
        products: dict[str, StoredProduct],
        images: dict[tuple[str, str], StoredImage],
        unfinished: frozenset[int] = frozenset(),
    ) -> None:
        self._revision = revision
        self._unfinished = unfinished
        self._products = products
        self._images = images
        self._counts = {"created": 0, "updated": 0, "unchanged": 0}
        self._touched: dict[str, None] = {}
        self._touched_images: dict[tuple[str, str], None] = {}
        self._superseded: list[AcceptedRow] = []
        self._missing: list[AcceptedRow] = []
        self._disagreements: list[tuple[AcceptedRow, str]] = []
        self._by_product: defaultdict[str, list[tuple[str, str]]] | None = None
        self._only_rows: dict[str, AcceptedRow | None] = {}  # None: there are several
        self.payload_changed: set[str] = set()

    def add(self, row: AcceptedRow) -> None:
        """Merges one row."""
        product_id = names.product_id(row.fields["sku"])
        product = self._products.get(product_id)
        lists_images = "images" in row.given
        if product and product.deleted and product.revision > self._revision:
            self._superseded.append(row)
            return
        if product is None or product.deleted:
            if not lists_images:
                self._missing.append(row)
                return
            product, first = self._create(product_id, row), True
        elif product.seen_revision > self._revision:
            return  # a later import has spoken about this product
        else:
            first = product.seen_revision < self._revision
            self._merge(product, row, first)
        self._touched[product_id] = None
        self._only_rows[product_id] = row if first else None
        if lists_images:
            product.listed_revision = self._revision
            self._list_images(product, row)

    def outcome(self) -> MergeOutcome:
        return MergeOutcome(
            **self._counts,
            products=tuple(self._touched),
            superseded=tuple(self._superseded),
            missing=tuple(self._missing),
            disagreements=tuple(self._disagreements),
        )

    def touched_products(self) -> list[StoredProduct]:
        return [self._products[each] for each in self._touched]

    def row_digest(self, product: StoredProduct) -> str | None:
        """Digest of the row of a touched product, if it is all that there is to say about it."""
        row = self._only_rows[product.id]
        if row is None or not row.digest or product.revision > self._revision:
            return None
        if "images" in row.given:
            live = dict(self._live_images(product))
            imported = {sha for (_, sha), image in live.items() if image.origin == "import"}
            shown = {sha for _, sha in live}
            if not imported <= set(row.sha256s) <= shown:
                return None
        return row.digest

    def touched_images(self) -> Iterator[tuple[tuple[str, str], StoredImage]]:
        return ((key, self._images[key]) for key in self._touched_images)

    def _create(self, product_id: str, row: AcceptedRow) -> StoredProduct:
        product = StoredProduct(
            id=product_id,
            fields=ProductFields(**row.fields),
            revision=self._revision,
            seen_revision=self._revision,
            listed_revision=self._revision,
            outcome="created",
            deleted=False,
            update_time=None,
            changed=True,
        )
        self._products[product_id] = product
        self._counts["created"] += 1
        return product

    def _merge(self, product: StoredProduct, row: AcceptedRow, first: bool) -> None:
        if product.outcome == "same" and not first:
            self._list_all(product)
        if first:
            product.seen_revision = self._revision
            if is_tentative(product.outcome, product.revision, self._unfinished):
                # Ours as well: should no image of either import be usable, nobody wanted it.
                product.revision, product.changed = self._revision, True
                self._counts["created"] += 1
            else:
                product.outcome = "unchanged"
                self._counts["unchanged"] += 1
        if product.revision > self._revision:
            return  # the API changed the fields after this import was accepted
        values = self._said(product, row) if first else self._filled(product, row)
        if not values:
            return
        merged = product.fields.with_checked(values)
        if merged != product.fields:
            self._mark_changed(product)
            product.revision = self._revision
            if any(getattr(merged, n) != getattr(product.fields, n) for n in _IN_PAYLOAD):
                self.payload_changed.add(product.id)
            product.fields = merged

    @staticmethod
    def _said(product: StoredProduct, row: AcceptedRow) -> dict[str, object]:
        """The values of the row that are not those stored."""
        return {
            name: value
            for name in _MERGED
            if name in row.given and (value := _value(row, name)) != getattr(product.fields, name)
        }

    def _filled(self, product: StoredProduct, row: AcceptedRow) -> dict[str, object]:
        """A later row of one import fills what is empty, and disagrees about the rest."""
        values: dict[str, object] = {}
        for name, new in self._said(product, row).items():
            if new in (None, "", (), {}):
                continue
            if getattr(product.fields, name) in (None, "", (), {}):
                values[name] = new
            else:
                self._disagreements.append((row, name))
        return values

    def _list_all(self, product: StoredProduct) -> None:
        """The first row listed every imported image of the product, and did not note it."""
        product.outcome = "unchanged"
        for key, image in self._live_images(product):
            if image.origin == "import" and image.revision < self._revision:
                image.revision = self._revision
                image.position = position(0, (image.position or 0) & _LAST)  # before other rows'
                self._touched_images[key] = None

    def _live_images(self, product: StoredProduct) -> Iterator[tuple[tuple[str, str], StoredImage]]:
        if self._by_product is None:
            self._by_product = defaultdict(list)
            for key in self._images:
                self._by_product[key[0]].append(key)
        for key in self._by_product[product.id]:
            if not self._images[key].deleted:
                yield key, self._images[key]

    def _mark_changed(self, product: StoredProduct) -> None:
        product.changed = True
        if product.outcome == "unchanged":
            product.outcome = "updated"
            self._counts["unchanged"] -= 1
            self._counts["updated"] += 1

    def _list_images(self, product: StoredProduct, row: AcceptedRow) -> None:
        for at, (sha256, source) in enumerate(zip(row.sha256s, row.sources, strict=True)):
            key = (product.id, sha256)
            image = self._images.get(key)
            if image and image.deleted and image.revision > self._revision:
                continue  # deleted after this import was accepted
            if image is None or image.deleted or image.state is ImageState.REFUSED:
                new = image is None or image.deleted
                self._by_product = None
                self._images[key] = StoredImage(
                    state=ImageState.PENDING,
                    source=source,
                    origin="import" if new or image is None else image.origin,
                    position=position(row.row, at),
                    revision=self._revision,
                    plan_revision=None,
                    deleted=False,
                    create_time=None if new or image is None else image.create_time,
                    fresh=True,
                )
                if new:
                    self._mark_changed(product)
            elif image.revision < self._revision:
                image.revision, image.position = self._revision, position(row.row, at)
            self._touched_images[key] = None


def is_tentative(outcome: str, revision: int, unfinished: frozenset[int]) -> bool:
    """Whether a product was made by an import that may still forget it."""
    return outcome == "created" and revision in unfinished


def position(row: int, image: int) -> int:
    """Where in the manifest an image stands: number of the row, then its place in the row."""
    return row << _IN_ROW | min(image, _LAST)


def _value(row: AcceptedRow, name: str) -> object:
    value = row.fields[name]
    return tuple(value) if isinstance(value, list) else value
