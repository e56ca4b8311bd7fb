"""From drafts to a dataset: no query among the gallery, and every query with something to find."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

import structlog

from services.core.dataset_files import GALLERY, PAGE, QUERIES, DatasetRow, write_rows
from services.core.domain.errors import InvalidArgument
from services.core.domain.keys import page_key
from services.core.evaluation_messages import FreezeDataset
from services.core.outcomes import DatasetFrozen
from services.core.ports import ObjectStore
from services.evaluation.dataset_reading import read_pages
from services.evaluation.near_copies import NearCopies

_NAMED = 5  # SKUs in a message
_log = structlog.get_logger(__name__)


class Freezer:
    """Writes the frozen pages of datasets. Every call may be repeated: the same drafts give the
    same pages."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def freeze(self, message: FreezeDataset) -> DatasetFrozen:
        """Returns when the pages are stored. Holds all queries and a page of the gallery in memory.

        Raises InvalidArgument (NO_QUERIES, NO_GALLERY, NO_RELEVANT, QUERIES_WITHOUT_PRODUCT),
        NotFound or DataLoss for files that are missing or damaged.
        """
        queries = [
            each for page in read_pages(self._objects, message.drafts, QUERIES) for each in page
        ]
        if not queries:
            raise InvalidArgument(
                "the dataset has no queries: none of the listed photos can be used",
                reason="NO_QUERIES",
            )
        sieve = _Sieve(self._objects, queries)
        drafts = read_pages(self._objects, message.drafts, GALLERY)
        kept = chain.from_iterable(sieve.keep(page) for page in drafts)
        self._write(message.dataset, GALLERY, kept)
        absent = _absent(queries, sieve, message.allow_absent)
        frozen = (
            replace(_bare(each), absent=gone) for each, gone in zip(queries, absent, strict=True)
        )
        self._write(message.dataset, QUERIES, frozen)
        outcome = DatasetFrozen(
            queries=len(queries),
            gallery=sieve.kept,
            products=len(sieve.products),
            absent=sum(absent),
            left_out_by_hash=sieve.by_hash,
            left_out_near=sieve.near,
        )
        _log.info("dataset.frozen", queries=outcome.queries, gallery=outcome.gallery)
        return outcome

    def _write(self, prefix: str, role: str, rows: Iterator[DatasetRow]) -> None:
        number = 0
        while page := list(islice(rows, PAGE)):
            self._objects.put(page_key(prefix, role, number), write_rows(page))
            number += 1


class _Sieve:
    """Keeps gallery images that are no query, and counts those that it left out."""

    def __init__(self, objects: ObjectStore, queries: Sequence[DatasetRow]) -> None:
        self._hashes = {each.sha256 for each in queries}
        self._copies = NearCopies(objects, queries)
        self.by_hash = self.near = self.kept = 0
        self.products: set[str] = set()  # of what was kept
        self.lost: set[str] = set()  # of what was left out

    def keep(self, page: Sequence[DatasetRow]) -> Iterator[DatasetRow]:
        others = [each for each in page if each.sha256 not in self._hashes]
        self.by_hash += len(page) - len(others)
        self.lost.update(each.product for each in page if each.sha256 in self._hashes)
        for row, copy in zip(others, self._copies.among(others), strict=True):
            if copy:
                self.near += 1
                self.lost.add(row.product)
            else:
                self.kept += 1
                self.products.add(row.product)
                yield _bare(row)


def _absent(queries: Sequence[DatasetRow], sieve: _Sieve, allowed: bool) -> list[bool]:
    """Whether each query has nothing to be found. Raises as Freezer.freeze."""
    left_out = sieve.by_hash + sieve.near
    if not sieve.kept:
        why = (
            f": all {left_out} of its images are queries, or copies of queries" if left_out else ""
        )
        raise InvalidArgument(
            f"the gallery is empty{why}. Import images that are no queries", reason="NO_GALLERY"
        )
    absent = [each.product not in sieve.products for each in queries]
    without = [each for each, gone in zip(queries, absent, strict=True) if gone]
    copied = len({each.product for each in without} & sieve.lost)
    because = (
        f"; {copied} of these products lost their last images because they are queries, or copies "
        "of queries"
        if copied
        else ""
    )
    if all(absent):
        raise InvalidArgument(
            f"none of the {len(queries)} queries has an image of its product in the gallery"
            f"{because}. Check the SKUs of the queries",
            reason="NO_RELEVANT",
        )
    if without and not allowed:
        named = ", ".join(
            list(dict.fromkeys(each.sku or each.product for each in without))[:_NAMED]
        )
        raise InvalidArgument(
            f"{len(without)} of {len(queries)} queries have no image of their product in the "
            f"gallery, first of SKU {named}{because}. Leave them out, or allow absent products",
            reason="QUERIES_WITHOUT_PRODUCT",
        )
    return absent


def _bare(row: DatasetRow) -> DatasetRow:
    """Without what only drafts have."""
    return replace(row, picture_hash="", embeddings="", embedding_row=0)
