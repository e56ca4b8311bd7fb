"""However an import is cut into shards, the records end the same."""

import itertools
from dataclasses import astuple
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.core.domain.catalog import ProductFields
from services.core.record_ports import RecordStore
from services.core.shard_files import AcceptedRow
from tests.contract import record_stores
from tests.contract.record_stores import Shop, row

records = record_stores.records

skus = st.sampled_from(["a", "b", "c"])
images = st.lists(st.sampled_from(["w", "x", "y", "z"]), max_size=3, unique=True)
words = st.sampled_from(["", "u", "v"])
fields = st.fixed_dictionaries(
    {
        "title": words,
        "parent": words,
        "labels": st.lists(st.sampled_from(["l", "m"]), max_size=2),
        "price": st.sampled_from([None, 0, 1, 2]),
        "attributes": st.sampled_from([{}, {"k": "1"}, {"k": "2"}]),
    }
)
lines = st.lists(st.tuples(skus, images, fields), min_size=1, max_size=8)
columns = st.sampled_from(
    [
        ("images", "title", "parent", "labels", "price", "attributes"),
        ("images", "title", "price"),
        ("images",),
        ("title", "labels", "attributes"),
    ]
)
# What happens to the products before and after the import is accepted.
events = st.lists(
    st.tuples(st.sampled_from(["delete", "update", "delete image", "upload", "refuse"]), skus),
    max_size=5,
)
_names = itertools.count()


def rows_of(drawn: Any, given: tuple[str, ...]) -> list[AcceptedRow]:
    return [
        row(sku, *(images if "images" in given else ()), given=given, **fields)
        for sku, images, fields in drawn
    ]


def happen(shop: Shop, events: list[tuple[str, str]]) -> None:
    """Makes each event that is possible now; an impossible one costs a revision as well."""
    for event, product in events:
        if product not in shop.products():
            shop.revision()
        elif event == "delete":
            shop.delete(product)
        elif event == "update":
            shop.update(product, ProductFields(product, title="by hand", price=7))
        elif event == "upload":
            shop.upload(product, "x")
        elif event == "delete image" and shop.images(product):
            with shop.records.begin(write=True) as tx:
                revision = tx.catalogs.next_revision(shop.id)
                first = min(shop.images(product))
                tx.products.delete_image(shop.id, product, first, revision, record_stores.NOW)
        else:
            shop.refuse(y="IMAGE_UNDECODABLE")


def state(shop: Shop, revision: int) -> tuple[object, ...]:
    products = shop.products()
    return (
        [astuple(each)[1:] for each in products.values()],
        [astuple(image)[1:] for each in products for image in shop.images(each).values()],
        sorted((e.product.id, e.sha256, e.deleted, e.searchable) for e in shop.unplanned(*"abc")),
        shop.stale(revision),
    )


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # shrinking would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lines, columns, events, lines, columns, events, st.data())
def test_any_split_into_shards_gives_the_same_products_and_images(
    records: RecordStore,
    earlier: Any,
    earlier_columns: tuple[str, ...],
    before: list[tuple[str, str]],
    drawn: Any,
    given: tuple[str, ...],
    after: list[tuple[str, str]],
    data: st.DataObject,
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(drawn))), "cuts") | {0, len(drawn)})
    old, rows = rows_of(earlier, earlier_columns), rows_of(drawn, given)
    endings, outcomes = [], []
    for bounds in ([0, len(rows)], cuts):
        shop = Shop(records, f"s{next(_names)}")
        shop.load(*old)
        happen(shop, before)
        shop.indexed(shop.plan(*"abc"))
        revision = shop.revision()
        happen(shop, after)
        merged = [shop.merge(revision, *rows[i:j]) for i, j in itertools.pairwise(bounds)]
        endings.append(state(shop, revision))
        outcomes.append(
            {
                "created": sum(each.created for each in merged),
                "updated": sum(each.updated for each in merged),
                "unchanged": sum(each.unchanged for each in merged),
                "products": {product for each in merged for product in each.products},
                "superseded": [each for part in merged for each in part.superseded],
                "missing": [each for part in merged for each in part.missing],
                "disagreements": [each for part in merged for each in part.disagreements],
            }
        )
    assert endings[0] == endings[1]
    assert outcomes[0] == outcomes[1]
