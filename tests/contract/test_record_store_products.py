"""What every RecordStore promises about single products and images."""

import pytest

from services.core.domain.catalog import ImageState, ProductFields
from services.core.domain.errors import AlreadyExists, NotFound
from tests.contract import record_stores
from tests.contract.record_stores import NOW, Shop, hashes, later, row, sha

records, shop = record_stores.records, record_stores.shop_of_records

FULL = ProductFields(
    "Schuh №7/ä 🛒",
    title="Größe “42” ‮rtl‬ é é 𝔘",
    description="line\nline\ttab 'quote' \"double\" \\ % _ ;--",
    categories=("Drinks > Juice", "飲み物"),
    labels=("b", "a", "Ж"),
    parent="Schuh",
    price=19.99,
    stock=0,
    attributes={"colour": "grün", "": "empty key", "ключ": ""},
)


def test_every_field_comes_back_as_it_was_given(shop: Shop) -> None:
    with shop.records.begin(write=True) as tx:
        made = tx.products.create("shop", FULL, 5, NOW)
    with shop.records.begin() as tx:
        found = tx.products.get("shop", FULL.product_id)
    assert found == made
    assert found.fields == FULL
    assert (found.catalog, found.id, found.revision) == ("shop", FULL.product_id, 5)
    assert (found.image_count, found.update_time) == (0, NOW)
    assert shop.products() == {made.id: made}


def test_a_product_that_exists_is_not_made_again(shop: Shop) -> None:
    shop.create("a", title="first")
    with pytest.raises(AlreadyExists) as caught:
        shop.create("a", title="second")
    assert caught.value.reason == "PRODUCT_EXISTS"
    assert shop.fields("a").title == "first"


def test_a_product_made_over_a_tombstone_has_none_of_the_old(shop: Shop) -> None:
    shop.create("a", "old", title="old", price=1)
    shop.delete("a")
    made = shop.create("a", parent="new")
    assert made.fields == ProductFields("a", parent="new")
    assert made.image_count == 0
    assert shop.images("a") == {}


def test_what_is_not_there_is_not_found_everywhere(shop: Shop) -> None:
    shop.create("deleted", "x")
    shop.delete("deleted")
    other = Shop(shop.records, "other")
    other.create("elsewhere", "x")
    with shop.records.begin(write=True) as tx:
        products = tx.products
        for use in (
            lambda p: products.get("shop", p),
            lambda p: products.update("shop", p, ProductFields(p), 9, NOW),
            lambda p: products.delete("shop", p, 9, NOW),
            lambda p: products.add_image("shop", p, sha("x"), 9, NOW),
            lambda p: products.page_images("shop", p, "", 9),
        ):
            for product in ("never", "deleted", "elsewhere"):
                with pytest.raises(NotFound) as caught:
                    use(product)
                assert caught.value.reason == "PRODUCT_NOT_FOUND"
        assert products.get_many("shop", ["never", "deleted", "elsewhere"]) == {}
    assert list(other.products()) == ["elsewhere"]


def test_get_many_finds_those_that_live(shop: Shop) -> None:
    for sku in ("a", "b", "c"):
        shop.create(sku, title=sku.upper())
    shop.delete("b")
    with shop.records.begin() as tx:
        found = tx.products.get_many("shop", ["a", "b", "nothing", "c", "a"])
        assert {key: each.fields.title for key, each in found.items()} == {"a": "A", "c": "C"}
        assert tx.products.get_many("shop", []) == {}


def test_pages_of_products_leave_out_none_and_repeat_none(shop: Shop) -> None:
    skus = [f"p-{number}" for number in range(10)] + ["Ärmel", "鞋子"]
    for sku in skus:
        shop.create(sku, "x")
    shop.delete("p-4")
    seen: list[str] = []
    with shop.records.begin() as tx:
        while page := tx.products.page("shop", seen[-1] if seen else "", 3):
            assert all(each.image_count == 1 for each in page)
            seen += [each.id for each in page]
    assert len(seen) == len(set(seen)) == 11
    assert set(seen) == {ProductFields(sku).product_id for sku in skus if sku != "p-4"}


def test_an_update_replaces_all_fields_and_its_images_become_unplanned(shop: Shop) -> None:
    shop.create("a", "x", "y", title="old", price=3, labels=("l",))
    shop.create("b", "x")
    shop.indexed(shop.plan("a", "b"))
    assert shop.unplanned("a", "b") == []

    changed = shop.update("a", ProductFields("a", title="new"))
    assert changed.fields == ProductFields("a", title="new")
    assert (changed.image_count, changed.update_time) == (2, later(1))
    entries = shop.unplanned("a", "b")
    assert {(each.product.id, each.sha256) for each in entries} == {
        ("a", sha("x")), ("a", sha("y")),
    }  # fmt: skip
    assert all(each.product.fields == changed.fields for each in entries)
    assert all(each.searchable and not each.deleted for each in entries)


def test_a_deleted_product_takes_its_images_along_and_they_become_unplanned(shop: Shop) -> None:
    shop.create("a", "x", "y")
    shop.create("b", "x")
    shop.indexed(shop.plan("a", "b"))
    shop.delete("a")
    assert list(shop.products()) == ["b"]
    entries = shop.unplanned("a", "b")
    assert {(e.product.id, e.sha256, e.deleted) for e in entries} == {
        ("a", sha("x"), True), ("a", sha("y"), True),
    }  # fmt: skip


def test_live_tells_images_from_their_tombstones(shop: Shop) -> None:
    shop.create("a", "x", "y")
    shop.create("b", "x")
    shop.create("c", "z")
    shop.delete_image("a", "x")
    shop.delete("c")
    pairs = [(product, sha(image)) for product in "abcd" for image in "xyz"]
    with shop.records.begin() as tx:
        assert tx.products.live("shop", pairs) == {("a", sha("y")), ("b", sha("x"))}
        assert tx.products.live("shop", pairs[:1]) == set()
        assert tx.products.live("shop", []) == set()


def test_an_uploaded_image_is_pending_and_a_repeat_changes_nothing(shop: Shop) -> None:
    shop.create("a")
    image = shop.upload("a", "x")
    assert (image.catalog, image.product, image.sha256) == ("shop", "a", sha("x"))
    assert (image.state, image.refusal, image.create_time) == (ImageState.PENDING, "", NOW)
    shop.indexed(shop.plan("a"))
    again = shop.upload("a", "x")
    assert (again.state, again.revision) == (ImageState.SEARCHABLE, image.revision)
    assert shop.products()["a"].image_count == 1
    assert shop.unplanned("a") == []


def test_an_upload_stays_when_a_later_import_does_not_list_it(shop: Shop) -> None:
    shop.load(row("a", "imported", "both"))
    shop.upload("a", "both")
    shop.upload("a", "uploaded")
    assert shop.stale(shop.load(row("a", "new"))) == {("a", sha("imported"))}
    listed = shop.load(row("a", "new", "uploaded"))  # listing it does not make it an import's
    assert shop.stale(listed) == {("a", sha("imported"))}
    assert shop.stale(shop.load(row("a", "new"))) == {("a", sha("imported"))}


def test_a_refused_image_uploaded_again_is_pending_again(shop: Shop) -> None:
    shop.create("a", "x")
    shop.refuse(x="IMAGE_UNDECODABLE")
    refused = shop.images("a")[sha("x")]
    assert (refused.state, refused.refusal) == (ImageState.REFUSED, "IMAGE_UNDECODABLE")
    again = shop.upload("a", "x")
    assert (again.state, again.refusal) == (ImageState.PENDING, "")
    assert len(shop.unplanned("a")) == 1


def test_a_deleted_image_is_gone_until_it_is_uploaded_again(shop: Shop) -> None:
    shop.create("a", "x", "y")
    shop.delete_image("a", "x")
    for image in ("x", "never"):
        with shop.records.begin(write=True) as tx:
            with pytest.raises(NotFound) as caught:
                tx.products.get_image("shop", "a", sha(image))
            assert caught.value.reason == "IMAGE_NOT_FOUND"
            with pytest.raises(NotFound):
                tx.products.delete_image("shop", "a", sha(image), 9, NOW)
    assert set(shop.images("a")) == hashes("y")
    assert shop.products()["a"].image_count == 1
    assert shop.upload("a", "x").state is ImageState.PENDING
    assert set(shop.images("a")) == hashes("x", "y")


def test_pages_of_images_follow_the_order_of_hashes(shop: Shop) -> None:
    shop.create("a", *(f"i{number}" for number in range(7)))
    shop.create("b", "elsewhere")
    shop.delete_image("a", "i3")
    seen: list[str] = []
    with shop.records.begin() as tx:
        while page := tx.products.page_images("shop", "a", seen[-1] if seen else "", 2):
            seen += [each.sha256 for each in page]
    assert seen == sorted(hashes(*(f"i{number}" for number in range(7) if number != 3)))
