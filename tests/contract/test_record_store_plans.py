"""What every RecordStore promises about stale, refused and unplanned images of a catalogue."""

from services.core.domain.catalog import ImageState, ProductFields
from tests.contract import record_stores
from tests.contract.record_stores import NOW, Shop, hashes, row, sha

records, shop = record_stores.records, record_stores.shop_of_records


def test_images_that_a_listed_product_no_longer_lists_are_stale(shop: Shop) -> None:
    shop.load(row("a", "x", "y"), row("b", "x"), row("c", "x"))
    revision = shop.revision()
    shop.merge(revision, row("a", "y"), row("b", "z"))
    shop.merge(revision, row("a", "w"))
    assert shop.stale(revision) == {("a", sha("x")), ("b", sha("x"))}
    with shop.records.begin() as tx:
        assert len(tx.imports.stale_images("shop", revision, 1)) == 1


def test_a_product_none_of_whose_listed_images_is_usable_keeps_those_it_had(shop: Shop) -> None:
    shop.load(row("a", "x"), row("b", "x"))
    revision = shop.load(row("a", "bad"), row("b", "bad", "good"))
    shop.refuse(bad="IMAGE_UNDECODABLE")
    assert shop.stale(revision) == {("b", sha("x"))}


def test_stale_images_once_deleted_are_stale_no_more_but_unplanned(shop: Shop) -> None:
    shop.load(row("a", "x", "y"))
    shop.indexed(shop.plan("a"))
    revision = shop.load(row("a", "z"))
    sweep = shop.revision()
    with shop.records.begin(write=True) as tx:
        stale = tx.imports.stale_images("shop", revision, 10)
        tx.imports.delete_images("shop", stale, sweep, NOW)
        tx.imports.delete_images("shop", [], sweep, NOW)
    assert shop.stale(revision) == set()
    assert set(shop.images("a")) == hashes("z")
    gone = {each.sha256 for each in shop.unplanned("a") if each.deleted}
    assert gone == hashes("x", "y")


def test_products_that_an_import_made_without_a_usable_image_are_forgotten(shop: Shop) -> None:
    shop.load(row("had", "x"))
    shop.create("by-hand")
    revision = shop.load(row("had", "bad"), row("none", "bad"), row("some", "bad", "good"))
    shop.refuse(bad="IMAGE_UNDECODABLE")
    assert shop.discard(revision) == 1
    assert list(shop.products()) == ["by-hand", "had", "some"]
    assert shop.discard(revision) == 0
    # As if it had never been there: a row of an older import makes it.
    assert shop.merge(revision - 1, row("none", "good")).created == 1


def test_a_product_changed_by_hand_since_its_import_is_not_forgotten(shop: Shop) -> None:
    revision = shop.load(row("a", "bad"))
    shop.refuse(bad="IMAGE_UNDECODABLE")
    shop.update("a", ProductFields("a", title="mine"))
    assert shop.discard(revision) == 0
    assert list(shop.products()) == ["a"]


def test_forgetting_a_product_forgets_no_deletion(shop: Shop) -> None:
    shop.load(row("a", "x", title="old"))
    shop.indexed(shop.plan("a"))
    old = shop.revision()
    shop.delete("a")
    between, new = shop.revision(), shop.revision()
    shop.merge(new, row("a", "bad"))
    shop.refuse(bad="IMAGE_UNDECODABLE")
    assert shop.discard(new) == 1
    assert shop.products() == {}
    # The collection still holds the point of x and has to be told ...
    assert [(each.sha256, each.deleted) for each in shop.unplanned("a")] == [(sha("x"), True)]
    # ... and an import accepted before the deletion does not bring the product back.
    late = row("a", "x")
    assert shop.merge(old, late).superseded == (late,)
    assert shop.merge(between, row("a", "y")).created == 1
    assert set(shop.images("a")) == hashes("y")


def test_a_hash_is_refused_for_every_live_image_of_the_catalogue(shop: Shop) -> None:
    other = Shop(shop.records, "other")
    other.load(row("a", "x"))
    shop.load(row("a", "x", "y"), row("b", "x"))
    shop.create("c", "x")
    shop.refuse(x="IMAGE_TOO_LARGE", unknown="IMAGE_UNDECODABLE")
    shop.refuse()
    for product in "abc":
        image = shop.images(product)[sha("x")]
        assert (image.state, image.refusal) == (ImageState.REFUSED, "IMAGE_TOO_LARGE")
    assert shop.images("a")[sha("y")].state is ImageState.PENDING
    assert other.images("a")[sha("x")].state is ImageState.PENDING


def test_a_new_image_is_unplanned_unless_it_is_refused(shop: Shop) -> None:
    shop.load(row("a", "x", "bad", title="T"), row("b", "x", "y"))
    shop.refuse(bad="IMAGE_UNDECODABLE")
    (entry,) = shop.unplanned("a")
    assert (entry.sha256, entry.deleted, entry.searchable) == (sha("x"), False, False)
    assert (entry.product.id, entry.product.fields.title) == ("a", "T")
    assert len(shop.unplanned("a", "b", "unknown")) == 3
    assert shop.unplanned() == []


def test_a_plan_covers_its_images_until_they_are_made_unplanned_again(shop: Shop) -> None:
    shop.load(row("a", "x", "y"))
    shop.plan("a")
    assert shop.unplanned("a") == []
    with shop.records.begin(write=True) as tx:
        tx.imports.planned("shop", [("a", sha("x"))], None)
        tx.imports.planned("shop", [], None)
    assert {each.sha256 for each in shop.unplanned("a")} == hashes("x")


def test_an_indexed_plan_makes_its_images_searchable_and_no_others(shop: Shop) -> None:
    shop.load(row("a", "x", "y", "z"))
    plan = shop.plan("a")
    shop.upload("a", "late")
    shop.delete_image("a", "y")
    with shop.records.begin(write=True) as tx:
        tx.imports.planned("shop", [("a", sha("z"))], None)
    shop.indexed(plan)
    states = {key: each.state for key, each in shop.images("a").items()}
    assert states == {
        sha("x"): ImageState.SEARCHABLE,
        sha("z"): ImageState.PENDING,
        sha("late"): ImageState.PENDING,
    }


def test_a_plan_that_ran_late_finds_what_later_plans_deleted(shop: Shop) -> None:
    shop.load(row("a", "x", "y"), row("b", "z"))
    first = shop.plan("a", "b")
    shop.delete_image("a", "x")
    shop.delete("b")

    def deleted_after(plan: int) -> set[tuple[str, str]]:
        with shop.records.begin() as tx:
            return set(tx.imports.deleted_after("shop", plan))

    assert deleted_after(first) == set()  # no plan deletes them yet
    second = shop.plan("a", "b")
    assert deleted_after(first) == {("a", sha("x")), ("b", sha("z"))}
    assert deleted_after(second) == set()
    shop.upload("a", "x")
    assert deleted_after(first) == {("b", sha("z"))}
