"""Images kept out of search: near-duplicates of their product, and pictures that too many share.

Near-duplicates are decided product by product, before a plan, from the records alone: the order of
the manifest and what the pictures look like. So the result does not depend on which report came
first, and whoever decides again decides the same.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import structlog

from services.coordinator.step import Step
from services.core.domain.catalog import ImageState
from services.core.domain.errors import DataLoss, NotFound
from services.core.domain.near_duplicates import Pixels, any_alike, copies
from services.core.domain.operations import OperationKind
from services.core.duplicate_ports import Foldable
from services.core.ports import ObjectStore
from services.core.shard_files import AcceptedRow, RejectedRow, read_embeddings

SHARED = "IMAGE_SHARED_BY_MANY"
_PAGES = 5  # of withheld images in one transaction: each looks at every picture of the import
_log = structlog.get_logger(__name__)


def keep_out(step: Step, products: Sequence[str]) -> None:
    """Decides which images of these products are kept out. A plan of the products comes next."""
    if not products:
        return
    operation, records = step.operation, step.tx.duplicates
    if operation.kind is OperationKind.IMPORT:
        folds = step.rules.fold_duplicates
        records.note_rule(operation.catalog, products, operation.revision, folds)
    known = records.withheld_elsewhere(operation.catalog, products)
    records.move(operation.catalog, known, ImageState.WITHHELD)
    _fold(step, products)


def withhold(step: Step) -> bool:
    """Withholds up to some pages of images whose picture too many products show, and releases
    those that no longer are; counts what is kept out once nothing is left to do, and is False."""
    operation, records, limits = step.operation, step.tx.duplicates, step.limits
    catalog = operation.catalog
    shared = records.overshared(catalog, operation.id, limits.products_per_image)
    hidden = records.to_withhold(catalog, shared, _PAGES * limits.sweep)
    shown = records.to_release(catalog, shared)[: _PAGES * limits.sweep]
    if not hidden and not shown:
        _count(step)
        return False
    records.move(catalog, hidden, ImageState.WITHHELD)
    records.move(catalog, shown, ImageState.PENDING)
    products = sorted({product for product, _ in (*hidden, *shown)})
    for start in range(0, len(products), limits.sweep):
        page = products[start : start + limits.sweep]
        _fold(step, page)
        step.plan(page)
    return True


def shared_lines(rows: Sequence[AcceptedRow], withheld: frozenset[str]) -> Iterator[RejectedRow]:
    """A line for every image of these rows that is withheld; no row is rejected for it."""
    for row in rows:
        for sha256, source in zip(row.sha256s, row.sources, strict=True):
            if sha256 in withheld:
                yield RejectedRow(row.row, SHARED, "images", source, row.fields["sku"], False)


def _count(step: Step) -> None:
    operation = step.operation
    counts, count = operation.counts, step.tx.duplicates.count
    counts.images_folded = count(operation.catalog, operation.revision, ImageState.FOLDED)
    counts.images_withheld = count(operation.catalog, operation.revision, ImageState.WITHHELD)
    counts.rejected_by_reason.pop(SHARED, None)
    if counts.images_withheld:
        counts.rejected_by_reason[SHARED] = counts.images_withheld


def _fold(step: Step, products: Sequence[str]) -> None:
    catalog = step.operation.catalog
    digest = step.targets[0].embedders[0]  # its pixels tell what pictures look like
    images = step.tx.duplicates.foldable(catalog, digest, products)
    groups = [list(group) for _, group in groupby(images, key=lambda each: each.product)]
    doubtful = [group for group in groups if any_alike([each.picture_hash for each in group])]
    pictures = _thumbnails(step.objects, [each for group in doubtful for each in group])
    folded: set[tuple[str, str]] = set()
    for group in doubtful:
        hashes = [each.picture_hash for each in group]
        found = copies(hashes, [pictures.get(each.sha256) for each in group])
        folded |= {(group[at].product, group[at].sha256) for at in found}
    before = {(each.product, each.sha256) for each in images if each.folded}
    step.tx.duplicates.move(catalog, sorted(folded - before), ImageState.FOLDED)
    step.tx.duplicates.move(catalog, sorted(before - folded), ImageState.PENDING)


def _thumbnails(objects: ObjectStore, images: Sequence[Foldable]) -> dict[str, Pixels]:
    """Thumbnails by hash, file by file; without those of files that have none."""
    found: dict[str, Pixels] = {}
    wanted = sorted((each for each in images if each.embeddings), key=lambda each: each.embeddings)
    for key, group in groupby(wanted, key=lambda each: each.embeddings):
        try:
            stored = read_embeddings(objects.get(key)).thumbnails
        except (NotFound, DataLoss) as error:
            _log.warning("duplicates.file_lost", key=key, reason=error.reason)
            continue
        if stored is not None:
            rows = ((each.sha256, each.embedding_row) for each in group)
            found |= {sha256: stored[row].copy() for sha256, row in rows if row < len(stored)}
    return found
