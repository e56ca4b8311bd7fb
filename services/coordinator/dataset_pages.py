"""Pages of datasets: drafts from rows and records, and where the embeddings of a page are."""

from collections.abc import Sequence

from services.coordinator.step import Step
from services.core.dataset_files import (
    PAGE,
    DatasetRow,
    Place,
    read_rows,
    write_places,
    write_rows,
)
from services.core.domain import keys, names
from services.core.domain.catalog import Product
from services.core.shard_files import AcceptedRow

_Pictures = dict[str, tuple[str, str, int]]


def write_drafts(step: Step, prefix: str, role: str, rows: Sequence[DatasetRow]) -> None:
    """Writes rows as the next draft pages of this role; how many there are, the result knows."""
    pages: dict[str, int] = step.operation.result.get("pages", {})
    number = pages.get(role, 0)
    for start in range(0, len(rows), PAGE):
        page = rows[start : start + PAGE]
        step.objects.put(keys.page_key(prefix, role, number), write_rows(page))
        number += 1
    step.operation.result = step.operation.result | {"pages": pages | {role: number}}


def query_drafts(step: Step, rows: Sequence[AcceptedRow]) -> list[DatasetRow]:
    """A query for every image of the rows. What they show is taken from the records where the
    catalogue has the product."""
    products = [names.product_id(row.fields["sku"]) for row in rows]
    known = step.tx.products.get_many(step.operation.catalog, list(dict.fromkeys(products)))
    pictures = _pictures(step, [sha256 for row in rows for sha256 in row.sha256s])
    return [
        _draft(
            sha256,
            product,
            row.fields["sku"],
            known.get(product),
            pictures,
            group=row.fields.get("parent", ""),
        )
        for row, product in zip(rows, products, strict=True)
        for sha256 in row.sha256s
    ]


def gallery_drafts(step: Step, products: Sequence[str]) -> list[DatasetRow]:
    """The images of these products that a collection should hold."""
    entries = step.tx.imports.present(step.operation.catalog, products)
    pictures = _pictures(step, [each.sha256 for each in entries])
    drafts = [
        _draft(each.sha256, each.product.id, each.product.fields.sku, each.product, pictures)
        for each in entries
    ]
    return sorted(drafts, key=lambda each: (each.product, each.sha256))


def read_page(step: Step, prefix: str, role: str, number: int) -> list[DatasetRow] | None:
    """The rows of a frozen page; None after the last one."""
    key = keys.page_key(prefix, role, number)
    return read_rows(step.objects.get(key)) if step.objects.size(key) is not None else None


def write_page_places(
    step: Step, embedders: Sequence[str], rows: Sequence[DatasetRow], key: str
) -> None:
    """Writes where each of the `embedders` (digests) has the embeddings of a page's rows."""
    hashes = list({each.sha256 for each in rows})
    by_member = [step.tx.embeddings.places(digest, hashes) for digest in embedders]
    whole = set(hashes).intersection(*by_member)
    places = []
    for each in rows:
        found = [member[each.sha256] for member in by_member] if each.sha256 in whole else []
        places.append(Place(tuple(file for file, _ in found), tuple(row for _, row in found)))
    step.objects.put(key, write_places(places))


def _pictures(step: Step, hashes: Sequence[str]) -> _Pictures:
    """What the first embedder of the live model knows about pictures, as duplicates are found."""
    digest = step.targets[0].embedders[0]
    return step.tx.embeddings.pictures(digest, list(dict.fromkeys(hashes)))


def _draft(
    sha256: str,
    product: str,
    sku: str,
    known: Product | None,
    pictures: _Pictures,
    group: str = "",
) -> DatasetRow:
    picture_hash, embeddings, row = pictures.get(sha256, ("", "", 0))
    fields = known.fields if known else None
    return DatasetRow(
        sha256=sha256,
        product=product,
        sku=sku,
        title=fields.title if fields else "",
        category=fields.categories[0] if fields and fields.categories else "",
        parent=fields.parent if fields else "",
        group=group,
        picture_hash=picture_hash,
        embeddings=embeddings,
        embedding_row=row,
    )
