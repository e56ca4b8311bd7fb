"""What every RecordStore promises about merging the rows of imports into products and images."""

from typing import Any

import pytest

from services.core.domain.catalog import ImageState, ProductFields
from services.core.domain.operations import OperationKind
from services.core.record_ports import MergeOutcome
from tests.contract import record_stores
from tests.contract.record_stores import Shop, hashes, row, sha

records, shop = record_stores.records, record_stores.shop_of_records


def counts(outcome: MergeOutcome) -> tuple[int, int, int]:
    return outcome.created, outcome.updated, outcome.unchanged


def test_rows_become_products_with_pending_images(shop: Shop) -> None:
    full = row(
        "Schuh №7", "x", "y", title="Größe 🛒", description="d", categories=["A>B"],
        labels=["l"], parent="P", price=1.5, stock=0, attributes={"ключ": "ä"},
    )  # fmt: skip
    revision = shop.revision()
    outcome = shop.merge(revision, full, row("b", "x"))
    assert counts(outcome) == (2, 0, 0)
    product = ProductFields("Schuh №7").product_id
    assert outcome.products == (product, "b")
    assert (outcome.superseded, outcome.missing, outcome.disagreements) == ((), (), ())
    assert shop.fields(product) == ProductFields(**full.fields)
    assert shop.products()[product].revision == revision
    image = shop.images(product)[sha("x")]
    assert (image.state, image.source, image.revision) == (ImageState.PENDING, "x.jpg", revision)
    assert set(shop.images(product)) == hashes("x", "y")
    assert set(shop.images("b")) == hashes("x")


def test_no_rows_change_nothing(shop: Shop) -> None:
    assert shop.merge(shop.revision()) == MergeOutcome(0, 0, 0, (), (), (), ())


@pytest.mark.parametrize("shards", [1, 3])
def test_within_an_import_the_first_value_that_is_not_empty_wins(shop: Shop, shards: int) -> None:
    first = row("a", "x", title="", price=2, labels=[], attributes={}, parent="P")
    second = row("a", "y", title="T", price=None, labels=["l"], attributes={"k": "v"}, parent="Q")
    third = row("a", "x", title="U", price=2, labels=["m"], attributes={"k": "v"}, parent="")
    revision = shop.revision()
    parts = [(first, second, third)] if shards == 1 else [(first,), (second,), (third,)]
    outcomes = [shop.merge(revision, *part) for part in parts]
    assert shop.fields("a") == ProductFields(
        "a", title="T", price=2, labels=("l",), attributes={"k": "v"}, parent="P"
    )
    assert [each for outcome in outcomes for each in outcome.disagreements] == [
        (second, "parent"), (third, "title"), (third, "labels"),
    ]  # fmt: skip
    assert [sum(column) for column in zip(*map(counts, outcomes), strict=True)] == [1, 0, 0]


def test_zero_is_a_value_and_not_empty(shop: Shop) -> None:
    revision = shop.revision()
    outcome = shop.merge(revision, row("a", "x", stock=0), row("a", "x", stock=5))
    assert shop.fields("a").stock == 0
    assert [field for _, field in outcome.disagreements] == ["stock"]


def test_images_are_the_union_of_all_rows(shop: Shop) -> None:
    revision = shop.revision()
    shop.merge(revision, row("a", "x", "y"), row("a"), row("a", "y", "z"))
    shop.merge(revision, row("a", "x", "w"))
    assert set(shop.images("a")) == hashes("w", "x", "y", "z")


def test_a_later_import_replaces_the_fields_given_and_keeps_the_others(shop: Shop) -> None:
    shop.load(row("a", "x", title="old", price=3, labels=["l"], parent="P"))
    second = shop.revision()
    given = ("images", "title", "price", "labels")
    outcome = shop.merge(second, row("a", "x", title="new", price=None, labels=[], given=given))
    assert shop.fields("a") == ProductFields("a", title="new", parent="P")
    assert counts(outcome) == (0, 1, 0)
    assert outcome.disagreements == ()
    assert shop.products()["a"].revision == second


def test_rows_without_images_change_products_that_exist_and_make_none(shop: Shop) -> None:
    shop.load(row("a", "x", title="old"))
    known = row("a", title="new", given=("title",))
    unknown = row("b", title="new", given=("title",))
    revision = shop.revision()
    outcome = shop.merge(revision, known, unknown)
    assert counts(outcome) == (0, 1, 0)
    assert (outcome.products, outcome.missing) == (("a",), (unknown,))
    assert list(shop.products()) == ["a"]
    assert set(shop.images("a")) == hashes("x")
    assert shop.stale(revision) == set()


def test_the_same_import_again_counts_as_unchanged_and_plans_nothing(shop: Shop) -> None:
    rows = [row("a", "x", title="T", price=1), row("b", "y", "x"), row("a", "z", title="T")]
    shop.load(*rows)
    shop.indexed(shop.plan("a", "b"))
    before = shop.products()
    outcome = shop.merge(shop.revision(), *rows)
    assert counts(outcome) == (0, 0, 2)
    assert set(outcome.products) == {"a", "b"}
    assert shop.products() == before
    assert shop.unplanned("a", "b") == []


@pytest.mark.parametrize(
    ("changed", "unplanned"), [({"title": "new"}, set()), ({"price": 2}, hashes("x", "y"))]
)
def test_only_a_change_that_search_filters_on_makes_images_unplanned(
    shop: Shop, changed: dict[str, Any], unplanned: set[str]
) -> None:
    shop.load(row("a", "x", "y", title="old", price=1))
    shop.indexed(shop.plan("a"))
    assert counts(shop.merge(shop.revision(), row("a", "x", **changed))) == (0, 1, 0)
    entries = shop.unplanned("a")
    assert {each.sha256 for each in entries} == unplanned
    assert all(each.searchable for each in entries)


def test_counts_are_differences_across_shards(shop: Shop) -> None:
    shop.load(row("a", "x", title=""), row("b", "y"))
    revision = shop.revision()
    assert counts(shop.merge(revision, row("a", "x", title=""), row("c", "z"))) == (1, 0, 1)
    assert counts(shop.merge(revision, row("a", "x", title="now"))) == (0, 1, -1)
    assert counts(shop.merge(revision, row("a", "new", title="now"), row("c", "w"))) == (0, 0, 0)


def test_a_new_image_alone_is_an_update(shop: Shop) -> None:
    shop.load(row("a", "x", title="T"))
    assert counts(shop.merge(shop.revision(), row("a", "y", title="T"))) == (0, 1, 0)


def test_a_shard_merged_twice_changes_nothing_the_second_time(shop: Shop) -> None:
    rows = [row("a", "x", title="T"), row("a", "y", title=""), row("b", "z")]
    revision = shop.revision()
    shop.merge(revision, *rows)
    before = shop.products(), shop.images("a"), shop.images("b")
    assert counts(shop.merge(revision, *rows)) == (0, 0, 0)
    assert (shop.products(), shop.images("a"), shop.images("b")) == before


def test_an_older_import_changes_nothing_that_a_newer_one_has_said(shop: Shop) -> None:
    old, new = shop.revision(), shop.revision()
    shop.merge(new, row("a", "x", title="new"))
    before = shop.products(), shop.images("a")
    outcome = shop.merge(old, row("a", "y", title="old"), row("b", "y", title="old"))
    assert (shop.products()["a"], shop.images("a")) == (before[0]["a"], before[1])
    assert shop.fields("b").title == "old"
    assert counts(outcome) == (1, 0, 0)


def test_fields_changed_after_the_import_was_accepted_stay_and_its_images_are_added(
    shop: Shop,
) -> None:
    shop.load(row("a", "x", title="first"))
    revision = shop.revision()
    shop.update("a", ProductFields("a", title="by hand"))
    outcome = shop.merge(revision, row("a", "y", title="import", price=3))
    assert shop.fields("a") == ProductFields("a", title="by hand")
    assert set(shop.images("a")) == hashes("x", "y")
    assert outcome.disagreements == ()


def test_a_product_that_two_imports_made_and_no_image_kept_is_forgotten(shop: Shop) -> None:
    first, second = _running_import(shop), _running_import(shop)
    shop.merge(first, row("A", "broken-1", title="one"), row("B", "broken-1"))
    shop.merge(second, row("A", "broken-2", title="two"), row("B", "good"))
    shop.refuse(**dict.fromkeys(("broken-1", "broken-2"), "IMAGE_TRUNCATED"))
    assert shop.discard(first) == 0
    assert shop.discard(second) == 1
    assert [each.fields.sku for each in shop.products().values()] == ["B"]


def test_a_product_that_stayed_empty_is_not_forgotten_by_a_later_import(shop: Shop) -> None:
    made = shop.create("A", title="made by hand")
    later = _running_import(shop)
    shop.merge(later, row("A", "broken", title="one"))
    shop.refuse(broken="IMAGE_TRUNCATED")
    assert shop.discard(later) == 0
    assert made.id in shop.products()


def test_rows_of_a_product_deleted_after_the_import_was_accepted_are_superseded(
    shop: Shop,
) -> None:
    shop.load(row("a", "x"))
    revision = shop.revision()
    shop.delete("a")
    late = row("a", "x", "y")
    outcome = shop.merge(revision, late, row("b", "z"))
    assert (outcome.superseded, outcome.products) == ((late,), ("b",))
    assert list(shop.products()) == ["b"]


def test_a_later_import_revives_a_deleted_product_with_its_own_fields_and_images(
    shop: Shop,
) -> None:
    shop.load(row("a", "x", "y", title="old", price=9))
    shop.delete("a")
    assert counts(shop.merge(shop.revision(), row("a", "x", "z", title="new"))) == (1, 0, 0)
    assert shop.fields("a") == ProductFields("a", title="new")
    assert set(shop.images("a")) == hashes("x", "z")
    assert all(each.state is ImageState.PENDING for each in shop.images("a").values())


def test_an_image_deleted_after_the_import_was_accepted_stays_deleted(shop: Shop) -> None:
    shop.load(row("a", "x", "y"))
    revision = shop.revision()
    shop.delete_image("a", "x")
    shop.merge(revision, row("a", "x", "z"))
    assert set(shop.images("a")) == hashes("y", "z")
    assert counts(shop.merge(shop.revision(), row("a", "x"))) == (0, 1, 0)
    assert set(shop.images("a")) == hashes("x", "y", "z")


def test_a_refused_image_that_is_listed_again_gets_another_try(shop: Shop) -> None:
    shop.load(row("a", "x", "y"))
    shop.refuse(x="IMAGE_UNREACHABLE")
    shop.load(row("a", "x", "y"))
    image = shop.images("a")[sha("x")]
    assert (image.state, image.refusal) == (ImageState.PENDING, "")


def test_catalogues_do_not_meet(shop: Shop) -> None:
    other = Shop(shop.records, "other")
    other.load(row("a", "x", title="other"))
    revision = shop.load(row("a", "y", title="shop"))
    other.refuse(y="IMAGE_UNDECODABLE")
    other.delete("a")
    assert shop.fields("a").title == "shop"
    assert shop.images("a")[sha("y")].state is ImageState.PENDING
    assert shop.stale(revision) == set()


def test_a_shard_of_many_rows_is_merged_at_once(shop: Shop) -> None:
    rows = [row(f"p{number}", *(f"{number}-{n}" for n in range(4))) for number in range(1_500)]
    assert counts(shop.merge(shop.revision(), *rows)) == (1_500, 0, 0)
    with shop.records.begin() as tx:
        assert tx.catalogs.get("shop").product_count == 1_500
        assert tx.products.get("shop", "p1499").image_count == 4


def _running_import(shop: Shop) -> int:
    """The revision of an import that has been accepted and has not ended."""
    revision = shop.revision()
    with shop.records.begin(write=True) as tx:
        tx.operations.create(OperationKind.IMPORT, shop.id, revision, {}, record_stores.NOW)
    return revision
