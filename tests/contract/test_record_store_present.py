"""What every RecordStore promises about what a collection of a catalogue should hold."""

from collections.abc import Callable

import pytest

from services.core.domain.catalog import ImageState, ProductFields
from tests.contract import record_stores
from tests.contract.record_stores import NOW, Shop, hashes, row, sha

records, shop = record_stores.records, record_stores.shop_of_records


def present(shop: Shop, *products: str) -> set[str]:
    return {each.sha256 for each in shop.present(*products)}


def count(shop: Shop) -> int:
    with shop.records.begin() as tx:
        return tx.imports.present_count(shop.id)


def walk(shop: Shop, limit: int = 2) -> list[str]:
    """The products that building another collection meets, a page at a time."""
    seen: list[str] = []
    with shop.records.begin() as tx:
        while page := tx.imports.next_products(shop.id, seen[-1] if seen else "", limit):
            assert len(page) <= limit
            seen += page
    return seen


def hide(shop: Shop, state: ImageState) -> None:
    with shop.records.begin(write=True) as tx:
        tx.duplicates.move(shop.id, [("a", sha("x"))], state)


# Each takes image x of product a out of search.
REMOVALS: dict[str, Callable[[Shop], object]] = {
    "deleted": lambda shop: shop.delete_image("a", "x"),
    "refused": lambda shop: shop.refuse(x="IMAGE_UNDECODABLE"),
    "withheld": lambda shop: hide(shop, ImageState.WITHHELD),
    "folded": lambda shop: hide(shop, ImageState.FOLDED),
}


def test_planned_images_are_present_whole_whether_or_not_they_are_searchable(shop: Shop) -> None:
    shop.load(row("a", "x", title="Tea", price=3), row("b", "y"))
    shop.indexed(shop.plan("a"))
    shop.plan("b")
    a, b = sorted(shop.present("a", "b"), key=lambda each: each.product.id)
    assert (a.product.id, a.sha256, a.deleted, a.searchable) == ("a", sha("x"), False, True)
    assert (b.product.id, b.sha256, b.deleted, b.searchable) == ("b", sha("y"), False, False)
    assert a.product.fields == shop.fields("a") == ProductFields("a", title="Tea", price=3)
    assert count(shop) == 2


def test_only_the_products_that_are_asked_for_are_told(shop: Shop) -> None:
    shop.load(row("a", "x"), row("b", "x", "y"), row("c", "z"))
    shop.plan("a", "b", "c")
    assert {(e.product.id, e.sha256) for e in shop.present("b", "unknown", "b")} == {
        ("b", sha("x")), ("b", sha("y")),
    }  # fmt: skip
    assert shop.present() == []


def test_every_image_is_either_unplanned_or_present_while_none_is_taken_out(shop: Shop) -> None:
    shop.load(row("a", "x", "y"))
    assert (present(shop, "a"), count(shop), walk(shop)) == (set(), 0, [])
    shop.indexed(shop.plan("a"))
    shop.upload("a", "z")
    assert (present(shop, "a"), count(shop)) == (hashes("x", "y"), 2)
    assert {each.sha256 for each in shop.unplanned("a")} == hashes("z")
    shop.update("a", ProductFields("a", title="new"))  # every image gets a new plan
    assert (present(shop, "a"), count(shop), walk(shop)) == (set(), 0, [])
    assert len(shop.unplanned("a")) == 3
    shop.plan("a")
    assert (present(shop, "a"), count(shop)) == (hashes("x", "y", "z"), 3)


@pytest.mark.parametrize("how", REMOVALS)
def test_what_is_taken_out_of_search_is_not_present_before_nor_after_its_plan(
    shop: Shop, how: str
) -> None:
    shop.load(row("a", "x", "y"))
    shop.indexed(shop.plan("a"))
    REMOVALS[how](shop)
    assert (present(shop, "a"), count(shop), walk(shop)) == (hashes("y"), 1, ["a"])
    shop.indexed(shop.plan("a"))
    assert shop.unplanned("a") == []
    assert (present(shop, "a"), count(shop), walk(shop)) == (hashes("y"), 1, ["a"])


@pytest.mark.parametrize("how", REMOVALS)
def test_a_product_with_nothing_to_show_is_not_walked(shop: Shop, how: str) -> None:
    shop.load(row("a", "x"), row("b", "y"))
    shop.indexed(shop.plan("a", "b"))
    REMOVALS[how](shop)
    shop.plan("a")
    assert (present(shop, "a"), count(shop), walk(shop)) == (set(), 1, ["b"])


@pytest.mark.parametrize("how", ["withheld", "folded"])
def test_what_is_shown_again_is_present_again_once_it_is_planned(shop: Shop, how: str) -> None:
    shop.load(row("a", "x"))
    shop.plan("a")
    REMOVALS[how](shop)
    shop.plan("a")
    hide(shop, ImageState.PENDING)  # no longer hidden, that is
    assert present(shop, "a") == set()
    shop.plan("a")
    assert present(shop, "a") == hashes("x")


def test_a_deleted_product_and_what_its_erasure_left_are_not_present(shop: Shop) -> None:
    shop.load(row("a", "x", "y"), row("b", "x"))
    shop.indexed(shop.plan("a", "b"))
    shop.delete("a")
    assert (shop.present("a"), count(shop), walk(shop)) == ([], 1, ["b"])
    shop.plan("a")
    with shop.records.begin(write=True) as tx:
        tx.erasing.scrub("shop", "a", sorted(hashes("x", "y")))
    assert (shop.present("a"), count(shop), walk(shop)) == ([], 1, ["b"])


def test_a_plan_that_is_taken_back_leaves_its_images_unplanned(shop: Shop) -> None:
    shop.load(row("a", "x", "y"))
    shop.indexed(shop.plan("a"))
    with shop.records.begin(write=True) as tx:
        tx.imports.planned("shop", [("a", sha("x"))], None)
    assert (present(shop, "a"), count(shop)) == (hashes("y"), 1)


def test_products_are_walked_in_the_order_of_ids_each_once(shop: Shop) -> None:
    ids = ["a", "a-b", "a0", "aa", "b", "b-1", "z"]
    shop.load(*(row(each, f"{each}1", f"{each}2", "shared") for each in reversed(ids)))
    shop.load(row("unplanned", "x"))
    shop.plan(*ids)
    assert walk(shop, 1) == walk(shop, 3) == walk(shop, 100) == sorted(ids)
    assert count(shop) == len(ids) * 3
    with shop.records.begin() as tx:
        assert tx.imports.next_products("shop", "a0", 2) == ["aa", "b"]
        assert tx.imports.next_products("shop", "z", 2) == []


def test_catalogues_hold_what_is_theirs(shop: Shop) -> None:
    other = Shop(shop.records, "other")
    for each in (shop, other):
        each.load(row("a", "x", "y"))
    other.plan("a")
    assert (present(shop, "a"), count(shop), walk(shop)) == (set(), 0, [])
    assert (present(other, "a"), count(other), walk(other)) == (hashes("x", "y"), 2, ["a"])
    shop.plan("a")
    with shop.records.begin(write=True) as tx:
        tx.imports.refuse_images("other", {sha("x"): "IMAGE_UNDECODABLE"})
        tx.imports.delete_images("other", [("a", sha("y"))], 99, NOW)
    assert (count(shop), count(other)) == (2, 0)
