"""Products and images in bulk, a shard at a time, in SQL."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.adapters.sql_records.merging import ShardMerge, is_tentative
from services.core.adapters.sql_records.products import field_values, to_product
from services.core.adapters.sql_records.statements import among, upsert
from services.core.adapters.sql_records.stored import load_images, load_products, write_images
from services.core.domain import names
from services.core.domain.catalog import HIDDEN, ImageState
from services.core.domain.operations import OperationKind, OperationState
from services.core.record_ports import ImportRecords, MergeOutcome, PlanEntry
from services.core.shard_files import AcceptedRow

_P, _I = tables.products, tables.product_images
_O, _I2 = tables.operations, _I.alias()
_DIGESTS = sa.select(
    _P.c.id, _P.c.row_digest, _P.c.seen_revision, _P.c.outcome, _P.c.revision
).where(
    _P.c.catalog == sa.bindparam("of_catalog"),
    _P.c.id.in_(sa.bindparam("ids", expanding=True)),
    ~_P.c.deleted,
)
_GONE = _I.c.deleted | _I.c.state.in_(HIDDEN)  # what the collection must not have
_PRESENT = (
    ~_I.c.deleted,
    _I.c.state.in_((ImageState.PENDING, ImageState.SEARCHABLE)),
    _I.c.plan_revision.is_not(None),
)


class SqlImports(ImportRecords):
    """See ImportRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def merge_rows(
        self, catalog: str, rows: Sequence[AcceptedRow], revision: int, now: datetime
    ) -> MergeOutcome:
        ids = list({names.product_id(row.fields["sku"]) for row in rows})
        merge = ShardMerge(
            revision,
            load_products(self._db, catalog, ids),
            load_images(self._db, catalog, ids),
            self._unfinished(catalog),
        )
        for row in rows:
            merge.add(row)
        self._write_products(catalog, merge, now)
        write_images(self._db, catalog, merge, now)
        return merge.outcome()

    def note_same(self, catalog: str, digests: Mapping[str, str], revision: int) -> set[str]:
        found = self._db.execute(_DIGESTS, {"of_catalog": catalog, "ids": list(digests)})
        unfinished = self._unfinished(catalog)
        same = [
            row.id
            for row in found
            if row.row_digest == digests[row.id]
            and row.seen_revision < revision
            and not is_tentative(row.outcome, row.revision, unfinished)
        ]
        self._db.execute(
            _P.update()
            .where(_P.c.catalog == catalog, _P.c.id.in_(same))
            .values(seen_revision=revision, outcome="same")
        )
        return set(same)

    def _unfinished(self, catalog: str) -> frozenset[int]:
        """Revisions of the imports into a catalogue that have not ended."""
        done = [state for state in OperationState if state.done]
        query = sa.select(_O.c.revision).where(
            _O.c.catalog == catalog,
            _O.c.kind == OperationKind.IMPORT,
            _O.c.state.not_in(done),
        )
        return frozenset(self._db.scalars(query))

    def stale_images(self, catalog: str, revision: int, limit: int) -> list[tuple[str, str]]:
        usable = _usable_images().where(_I2.c.revision >= revision)
        query = (
            sa.select(_I.c.product, _I.c.sha256)
            .join(_P, (_P.c.catalog == _I.c.catalog) & (_P.c.id == _I.c.product))
            .where(
                _P.c.catalog == catalog,
                _P.c.listed_revision == revision,
                _I.c.origin == "import",
                _I.c.revision < revision,
                ~_I.c.deleted,
                usable.exists(),
            )
            .limit(limit)
        )
        return [(row.product, row.sha256) for row in self._db.execute(query)]

    def discard_empty(self, catalog: str, revision: int) -> int:
        empty = [
            _P.c.catalog == catalog,
            _P.c.listed_revision == revision,
            _P.c.outcome == "created",
            _P.c.revision == revision,
            ~_P.c.deleted,
            ~_usable_images().exists(),
        ]
        products = sa.select(_P.c.id).where(*empty)
        self._db.execute(
            _I.delete().where(_I.c.catalog == catalog, _I.c.product.in_(products), ~_I.c.deleted)
        )
        # One made over a tombstone becomes it again: points of its deleted images may be left in
        # the collection, and an import from before the deletion must not bring it back.
        deletion = _images_of_product(sa.func.max(_I2.c.revision)).scalar_subquery()
        restored = self._db.execute(
            _P.update()
            .where(*empty, _images_of_product(sa.literal(1)).exists())
            .values(deleted=True, revision=deletion)
        )
        return int(restored.rowcount + self._db.execute(_P.delete().where(*empty)).rowcount)

    def delete_images(
        self, catalog: str, images: Sequence[tuple[str, str]], revision: int, now: datetime
    ) -> None:
        self._update_images(
            catalog, images, {"deleted": True, "revision": revision, "plan_revision": None}
        )

    def refuse_images(self, catalog: str, refused: Mapping[str, str]) -> None:
        if refused:
            self._db.execute(
                _I.update()
                .where(
                    _I.c.catalog == catalog,
                    _I.c.sha256 == sa.bindparam("hash"),
                    ~_I.c.deleted,
                )
                .values(state=ImageState.REFUSED, refusal=sa.bindparam("reason")),
                [{"hash": sha256, "reason": reason} for sha256, reason in refused.items()],
            )
            showing = sa.select(_I.c.product).where(
                _I.c.catalog == catalog, among(self._db, _I.c.sha256, refused)
            )
            self._db.execute(
                _P.update()
                .where(_P.c.catalog == catalog, _P.c.id.in_(showing))
                .values(row_digest=None)
            )

    def unplanned(self, catalog: str, products: Sequence[str]) -> list[PlanEntry]:
        return self._entries(
            catalog,
            products,
            _I.c.plan_revision.is_(None),
            _GONE | (_I.c.state != ImageState.REFUSED),
        )

    def next_products(self, catalog: str, after: str, limit: int) -> list[str]:
        query = sa.select(_I.c.product).where(
            _I.c.catalog == catalog, _I.c.product > after, *_PRESENT
        )
        return list(self._db.scalars(query.distinct().order_by(_I.c.product).limit(limit)))

    def present(self, catalog: str, products: Sequence[str]) -> list[PlanEntry]:
        return self._entries(catalog, products, *_PRESENT)

    def present_count(self, catalog: str) -> int:
        query = sa.select(sa.func.count()).where(_I.c.catalog == catalog, *_PRESENT)
        return int(self._db.scalar(query) or 0)

    def _entries(
        self, catalog: str, products: Sequence[str], *which: sa.ColumnElement[bool]
    ) -> list[PlanEntry]:
        query = (
            sa.select(_P, _I.c.sha256, _GONE.label("gone"), _I.c.state)
            .join(_P, (_P.c.catalog == _I.c.catalog) & (_P.c.id == _I.c.product))
            .where(_I.c.catalog == catalog, _I.c.product.in_(products), *which)
        )
        return [
            PlanEntry(
                product=to_product(row),
                sha256=row.sha256,
                deleted=row.gone,
                searchable=row.state == ImageState.SEARCHABLE,
            )
            for row in self._db.execute(query)
        ]

    def planned(
        self, catalog: str, images: Sequence[tuple[str, str]], plan_revision: int | None
    ) -> None:
        self._update_images(catalog, images, {"plan_revision": plan_revision})

    def indexed(self, catalog: str, plan_revision: int) -> None:
        self._db.execute(
            _I.update()
            .where(
                _I.c.catalog == catalog,
                _I.c.plan_revision == plan_revision,
                ~_I.c.deleted,
                _I.c.state == ImageState.PENDING,
            )
            .values(state=ImageState.SEARCHABLE)
        )

    def deleted_after(self, catalog: str, plan_revision: int) -> list[tuple[str, str]]:
        query = sa.select(_I.c.product, _I.c.sha256).where(
            _I.c.catalog == catalog, _I.c.plan_revision > plan_revision, _GONE
        )
        return [(row.product, row.sha256) for row in self._db.execute(query)]

    def _write_products(self, catalog: str, merge: ShardMerge, now: datetime) -> None:
        rows = [
            field_values(product.fields)
            | {
                "catalog": catalog,
                "id": product.id,
                "revision": product.revision,
                "seen_revision": product.seen_revision,
                "listed_revision": product.listed_revision,
                "outcome": product.outcome,
                "row_digest": merge.row_digest(product),
                "deleted": product.deleted,
                "update_time": now,
            }
            for product in merge.touched_products()
            if product.changed
        ]
        upsert(self._db, _P, rows)
        self._note_seen(catalog, merge)
        if merge.payload_changed:
            self._db.execute(
                _I.update()
                .where(
                    _I.c.catalog == catalog,
                    _I.c.product.in_(merge.payload_changed),
                    ~_GONE,
                )
                .values(plan_revision=None)
            )

    def _note_seen(self, catalog: str, merge: ShardMerge) -> None:
        """What this import says about products that it leaves as they are."""
        said = [
            {"of_product": product.id, "digest": digest}
            for product in merge.touched_products()
            if not product.changed and (digest := merge.row_digest(product)) != product.row_digest
        ]
        if said:
            self._db.execute(
                _P.update()
                .where(_P.c.catalog == catalog, _P.c.id == sa.bindparam("of_product"))
                .values(row_digest=sa.bindparam("digest")),
                said,
            )
        seen: defaultdict[tuple[int, int, str], list[str]] = defaultdict(list)
        for product in merge.touched_products():
            if not product.changed:
                note = (product.seen_revision, product.listed_revision, product.outcome)
                seen[note].append(product.id)
        for (seen_revision, listed_revision, outcome), ids in seen.items():
            self._db.execute(
                _P.update()
                .where(_P.c.catalog == catalog, _P.c.id.in_(ids))
                .values(
                    seen_revision=seen_revision, listed_revision=listed_revision, outcome=outcome
                )
            )

    def _update_images(
        self, catalog: str, images: Sequence[tuple[str, str]], values: Mapping[str, object]
    ) -> None:
        if images:
            self._db.execute(
                _I.update()
                .where(
                    _I.c.catalog == catalog,
                    _I.c.product == sa.bindparam("of_product"),
                    _I.c.sha256 == sa.bindparam("of_hash"),
                )
                .values(**values),
                [{"of_product": product, "of_hash": sha256} for product, sha256 in images],
            )


def _images_of_product(column: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """A column of the images, deleted ones too, of the product of the outer query."""
    return sa.select(column).where(_I2.c.catalog == _P.c.catalog, _I2.c.product == _P.c.id)


def _usable_images() -> sa.Select[Any]:
    """Images of the product of the outer query that are not refused."""
    return _images_of_product(sa.literal(1)).where(
        ~_I2.c.deleted, _I2.c.state != ImageState.REFUSED
    )
