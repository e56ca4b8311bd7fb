"""Images that are usable, but kept out of search, in SQL."""

from collections.abc import Sequence

import sqlalchemy as sa

from services.core.adapters.sql_records import tables
from services.core.domain.catalog import HIDDEN, ImageState
from services.core.duplicate_ports import DuplicateRecords, Foldable

_P, _I, _E, _F, _L = (
    tables.products,
    tables.product_images,
    tables.embeddings,
    tables.embedding_files,
    tables.claims,
)
_OF_PRODUCT = (_P.c.catalog == _I.c.catalog) & (_P.c.id == _I.c.product)
_SHOWN = (~_I.c.deleted, _I.c.state != ImageState.REFUSED)
_CHUNK = 500
# Said literally: the indexes of these are partial ones.
_IS = {state: _I.c.state == sa.literal_column(f"'{state}'") for state in HIDDEN}


class SqlDuplicates(DuplicateRecords):
    """See DuplicateRecords."""

    def __init__(self, connection: sa.Connection) -> None:
        self._db = connection

    def note_rule(self, catalog: str, products: Sequence[str], revision: int, folds: bool) -> None:
        listed = [_P.c.catalog == catalog, _P.c.id.in_(products), _P.c.listed_revision == revision]
        query = sa.select(_P.c.id).where(*listed, sa.func.coalesce(_P.c.folds, False) != folds)
        changed = list(self._db.scalars(query))
        if not changed:
            return
        mine = (_P.c.catalog == catalog, _P.c.id.in_(changed))
        self._db.execute(_P.update().where(*mine).values(folds=folds))
        if not folds:
            self._db.execute(
                _I.update()
                .where(
                    _I.c.catalog == catalog,
                    _I.c.product.in_(changed),
                    _I.c.state == ImageState.FOLDED,
                    ~_I.c.deleted,
                )
                .values(state=ImageState.PENDING, plan_revision=None)
            )

    def foldable(self, catalog: str, digest: str, products: Sequence[str]) -> list[Foldable]:
        # Two steps: most catalogues fold nothing, and then only the products are looked at.
        folding = list(
            self._db.scalars(
                sa.select(_P.c.id).where(
                    _P.c.catalog == catalog, _P.c.id.in_(products), _P.c.folds, ~_P.c.deleted
                )
            )
        )
        if not folding:
            return []
        query = (
            sa.select(_I.c.product, _I.c.sha256, _I.c.state, _E.c.picture_hash, _E.c.row, _F.c.key)
            .join(_P, _OF_PRODUCT)
            .outerjoin(_E, (_E.c.sha256 == _I.c.sha256) & (_E.c.digest == digest))
            .outerjoin(_F, _F.c.id == _E.c.file)
            .where(
                _I.c.catalog == catalog,
                _I.c.product.in_(folding),
                _I.c.origin == "import",
                _I.c.state != ImageState.WITHHELD,
                *_SHOWN,
            )
            .order_by(
                _I.c.product,
                _I.c.revision < _P.c.listed_revision,
                _I.c.position.is_(None),
                _I.c.position,
                _I.c.sha256,
            )
        )
        return [
            Foldable(
                row.product,
                row.sha256,
                row.state == ImageState.FOLDED,
                row.picture_hash or "",
                row.key or "",
                row.row or 0,
            )
            for row in self._db.execute(query)
        ]

    def withheld_elsewhere(self, catalog: str, products: Sequence[str]) -> list[tuple[str, str]]:
        withheld = set(self.withheld(catalog))
        if not withheld:  # as a rule; the question above is one look into a small index
            return []
        query = sa.select(_I.c.product, _I.c.sha256).where(
            _I.c.catalog == catalog,
            _I.c.product.in_(products),
            _I.c.state == ImageState.PENDING,
            _I.c.plan_revision.is_(None),
            ~_I.c.deleted,
        )
        found = ((row.product, row.sha256) for row in self._db.execute(query))
        return [each for each in found if each[1] in withheld]

    def overshared(self, catalog: str, operation: str, most: int) -> list[str]:
        claimed = (
            sa.select(_L.c.sha256)
            .join(_I, (_I.c.catalog == catalog) & (_I.c.sha256 == _L.c.sha256))
            .where(_L.c.operation == operation, ~_I.c.deleted)
            .group_by(_L.c.sha256)
            .having(sa.func.count() > most)
        )
        found = dict.fromkeys(self._db.scalars(claimed))
        others = [each for each in self.withheld(catalog) if each not in found]
        for start in range(0, len(others), _CHUNK):
            shared = (
                sa.select(_I.c.sha256)
                .where(
                    _I.c.catalog == catalog,
                    _I.c.sha256.in_(others[start : start + _CHUNK]),
                    ~_I.c.deleted,
                )
                .group_by(_I.c.sha256)
                .having(sa.func.count() > most)
            )
            found |= dict.fromkeys(self._db.scalars(shared))
        return list(found)

    def to_withhold(
        self, catalog: str, sha256s: Sequence[str], limit: int
    ) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for start in range(0, len(sha256s), _CHUNK):
            query = (
                sa.select(_I.c.product, _I.c.sha256)
                .where(
                    _I.c.catalog == catalog,
                    _I.c.sha256.in_(sha256s[start : start + _CHUNK]),
                    _I.c.state != ImageState.WITHHELD,
                    *_SHOWN,
                )
                .limit(limit - len(found))
            )
            found += [(row.product, row.sha256) for row in self._db.execute(query)]
            if len(found) >= limit:
                break
        return found

    def to_release(self, catalog: str, overshared: Sequence[str]) -> list[tuple[str, str]]:
        kept = set(overshared)
        free = [each for each in self.withheld(catalog) if each not in kept]
        found: list[tuple[str, str]] = []
        for start in range(0, len(free), _CHUNK):
            query = sa.select(_I.c.product, _I.c.sha256).where(
                _I.c.catalog == catalog,
                _I.c.sha256.in_(free[start : start + _CHUNK]),
                _IS[ImageState.WITHHELD],
                ~_I.c.deleted,
            )
            found += [(row.product, row.sha256) for row in self._db.execute(query)]
        return found

    def move(self, catalog: str, images: Sequence[tuple[str, str]], state: ImageState) -> None:
        if images:
            self._db.execute(
                _I.update()
                .where(
                    _I.c.catalog == catalog,
                    _I.c.product == sa.bindparam("of_product"),
                    _I.c.sha256 == sa.bindparam("of_hash"),
                    ~_I.c.deleted,
                )
                .values(state=state, plan_revision=None),
                [{"of_product": product, "of_hash": sha256} for product, sha256 in images],
            )

    def count(self, catalog: str, revision: int, state: ImageState) -> int:
        merged = (_P.c.listed_revision == revision) & (_I.c.revision == revision)
        same = (_P.c.outcome == "same") & (_P.c.seen_revision == revision)
        query = (
            sa.select(sa.func.count())
            .select_from(_I.join(_P, _OF_PRODUCT))
            .where(
                _I.c.catalog == catalog,
                _IS[state],
                ~_I.c.deleted,
                merged | (same & (_I.c.origin == "import")),
            )
        )
        return self._db.scalar(query) or 0

    def withheld(self, catalog: str) -> list[str]:
        query = sa.select(_I.c.sha256).where(
            _I.c.catalog == catalog, _IS[ImageState.WITHHELD], ~_I.c.deleted
        )
        return sorted(self._db.scalars(query.distinct()))
