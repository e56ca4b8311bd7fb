"""What every RecordStore promises about images that are kept out of search."""

from collections.abc import Sequence

from services.core.domain.catalog import ImageState
from services.core.duplicate_ports import Foldable
from tests.contract import record_stores
from tests.contract.record_stores import DIGEST, Shop, hashes, row, sha

records, shop = record_stores.records, record_stores.shop_of_records


def rule(shop: Shop, revision: int, folds: bool, *products: str) -> None:
    with shop.records.begin(write=True) as tx:
        tx.duplicates.note_rule(shop.id, products, revision, folds)


def move(shop: Shop, state: ImageState, *images: tuple[str, str]) -> None:
    with shop.records.begin(write=True) as tx:
        named = [(product, sha(image)) for product, image in images]
        tx.duplicates.move(shop.id, named, state)


def foldable(shop: Shop, *products: str) -> list[Foldable]:
    with shop.records.begin() as tx:
        return tx.duplicates.foldable(shop.id, DIGEST, products)


def order(shop: Shop, product: str) -> list[str]:
    return [each.sha256 for each in foldable(shop, product)]


def named(*images: str) -> list[str]:
    return [sha(image) for image in images]


def state(shop: Shop, product: str, image: str) -> ImageState:
    return shop.images(product)[sha(image)].state


def claim(shop: Shop, operation: str, images: Sequence[str]) -> None:
    with shop.records.begin(write=True) as tx:
        tx.embeddings.claim(operation, named(*images))


def overshared(shop: Shop, operation: str, most: int) -> set[str]:
    with shop.records.begin() as tx:
        return set(tx.duplicates.overshared(shop.id, operation, most))


def test_only_products_that_fold_are_foldable_in_the_order_of_the_manifest(shop: Shop) -> None:
    revision = shop.revision()
    shop.merge(revision, row("a", "z", "y"), row("b", "z", "y"))
    shop.merge(revision, row("a", "x", "z"))
    with shop.records.begin(write=True) as tx:
        tx.embeddings.add(DIGEST, "embeddings/e", named("z", "x"), ["0" * 16, "f" * 16])
    rule(shop, revision, True, "a")
    assert foldable(shop, "a", "b", "unknown") == [
        Foldable("a", sha("z"), False, "0" * 16, "embeddings/e", 0),
        Foldable("a", sha("y"), False, "", "", 0),
        Foldable("a", sha("x"), False, "f" * 16, "embeddings/e", 1),
    ]
    assert foldable(shop) == []


def test_the_newest_order_counts_and_what_is_no_longer_listed_is_last(shop: Shop) -> None:
    rule(shop, shop.load(row("a", "x", "y", "z")), True, "a")
    assert order(shop, "a") == named("x", "y", "z")
    shop.load(row("a", "z", "y"))
    assert order(shop, "a") == named("z", "y", "x")


def test_refused_withheld_deleted_and_uploaded_images_are_not_foldable(shop: Shop) -> None:
    revision = shop.load(row("a", "refused", "withheld", "deleted", "folded", "plain"))
    shop.upload("a", "uploaded")
    shop.refuse(refused="IMAGE_UNDECODABLE")
    shop.delete_image("a", "deleted")
    move(shop, ImageState.WITHHELD, ("a", "withheld"))
    move(shop, ImageState.FOLDED, ("a", "folded"), ("a", "deleted"))
    rule(shop, revision, True, "a")
    found = [(each.sha256, each.folded) for each in foldable(shop, "a")]
    assert found == [(sha("folded"), True), (sha("plain"), False)]


def test_only_the_last_import_that_listed_a_product_rules_it(shop: Shop) -> None:
    old, new = shop.revision(), shop.revision()
    shop.merge(new, row("a", "x", "y"))
    rule(shop, old, True, "a")
    assert foldable(shop, "a") == []
    rule(shop, new, True, "a")
    assert len(foldable(shop, "a")) == 2
    rule(shop, old, False, "a")
    assert len(foldable(shop, "a")) == 2


def test_images_are_pending_and_unplanned_again_where_nothing_folds_any_more(shop: Shop) -> None:
    revision = shop.load(row("a", "x", "y"))
    rule(shop, revision, True, "a")
    move(shop, ImageState.FOLDED, ("a", "y"))
    shop.indexed(shop.plan("a"))
    assert state(shop, "a", "y") is ImageState.FOLDED
    rule(shop, revision, False, "a")
    (entry,) = shop.unplanned("a")
    assert (entry.sha256, entry.deleted, entry.searchable) == (sha("y"), False, False)
    assert state(shop, "a", "y") is ImageState.PENDING


def test_hidden_images_are_planned_as_removals_and_are_not_live(shop: Shop) -> None:
    shop.load(row("a", "x", "y", "z"))
    first = shop.plan("a")
    shop.indexed(first)
    move(shop, ImageState.WITHHELD, ("a", "x"))
    move(shop, ImageState.FOLDED, ("a", "y"))
    assert {(each.sha256, each.deleted) for each in shop.unplanned("a")} == {
        (sha("x"), True),
        (sha("y"), True),
    }
    second = shop.plan("a")
    with shop.records.begin() as tx:
        images = [("a", each) for each in named("x", "y", "z")]
        assert tx.products.live(shop.id, images) == {("a", sha("z"))}
        late = set(tx.imports.deleted_after(shop.id, first))
    assert late == {("a", sha("x")), ("a", sha("y"))}
    shop.indexed(second)
    assert state(shop, "a", "x") is ImageState.WITHHELD


def test_fields_that_change_do_not_unplan_hidden_images(shop: Shop) -> None:
    shop.load(row("a", "x", "y", price=1.0))
    move(shop, ImageState.FOLDED, ("a", "y"))
    shop.indexed(shop.plan("a"))
    shop.load(row("a", "x", "y", price=2.0))
    assert [each.sha256 for each in shop.unplanned("a")] == named("x")
    shop.indexed(shop.plan("a"))
    shop.update("a", shop.fields("a"))
    assert [each.sha256 for each in shop.unplanned("a")] == named("x")


def test_pictures_of_too_many_products_are_found_among_what_an_import_claims(shop: Shop) -> None:
    Shop(shop.records, "other").load(row("a", "few"), row("b", "few"))
    shop.load(*(row(f"s{n}", "many", f"own{n}") for n in range(4)), row("s9", "few"))
    shop.delete_image("s0", "many")
    assert overshared(shop, "op", 2) == set()
    claim(shop, "op", ["many", "few", "own1", "unknown"])
    assert overshared(shop, "op", 2) == hashes("many")
    assert overshared(shop, "op", 3) == set()
    with shop.records.begin() as tx:
        found = tx.duplicates.to_withhold(shop.id, named("many"), 100)
        assert set(found) == {(f"s{n}", sha("many")) for n in range(1, 4)}
        assert len(tx.duplicates.to_withhold(shop.id, named("many"), 2)) == 2
        assert tx.duplicates.to_withhold(shop.id, [], 2) == []


def test_refused_pictures_are_not_withheld(shop: Shop) -> None:
    shop.load(*(row(f"s{n}", "bad") for n in range(3)))
    shop.refuse(bad="IMAGE_UNDECODABLE")
    with shop.records.begin() as tx:
        assert tx.duplicates.to_withhold(shop.id, named("bad"), 100) == []


def test_withheld_pictures_are_released_once_few_products_show_them(shop: Shop) -> None:
    shop.load(*(row(f"s{n}", "many") for n in range(3)))
    move(shop, ImageState.WITHHELD, *((f"s{n}", "many") for n in range(3)))
    assert overshared(shop, "nobody", 2) == hashes("many")
    shop.delete("s0")
    assert overshared(shop, "nobody", 2) == set()
    with shop.records.begin() as tx:
        assert tx.duplicates.withheld(shop.id) == named("many")
        assert tx.duplicates.to_release(shop.id, named("many")) == []
        released = tx.duplicates.to_release(shop.id, [])
    assert set(released) == {("s1", sha("many")), ("s2", sha("many"))}
    move(shop, ImageState.PENDING, ("s1", "many"), ("s2", "many"))
    with shop.records.begin() as tx:
        assert tx.duplicates.withheld(shop.id) == []


def test_a_new_image_is_known_to_be_withheld_elsewhere(shop: Shop) -> None:
    Shop(shop.records, "other").load(row("old", "mine"))
    shop.load(row("old", "many"), row("new", "many", "own", "mine"))
    move(shop, ImageState.WITHHELD, ("old", "many"))
    with shop.records.begin() as tx:
        assert tx.duplicates.withheld_elsewhere(shop.id, ["new"]) == [("new", sha("many"))]
        assert tx.duplicates.withheld_elsewhere(shop.id, ["old"]) == []


def test_what_is_kept_out_is_counted_for_the_import_that_listed_it(shop: Shop) -> None:
    old = shop.load(row("a", "x", "y"), row("b", "x", "y"))
    move(shop, ImageState.FOLDED, ("a", "y"), ("b", "y"))
    move(shop, ImageState.WITHHELD, ("a", "x"))
    new = shop.load(row("b", "x", "y"))

    def count(revision: int, wanted: ImageState) -> int:
        with shop.records.begin() as tx:
            return tx.duplicates.count(shop.id, revision, wanted)

    assert (count(old, ImageState.FOLDED), count(new, ImageState.FOLDED)) == (1, 1)
    assert (count(old, ImageState.WITHHELD), count(new, ImageState.WITHHELD)) == (1, 0)


def test_a_withheld_image_keeps_its_product_and_a_folded_one_that_is_uploaded_is_shown(
    shop: Shop,
) -> None:
    revision = shop.load(row("a", "x"), row("b", "y"))
    move(shop, ImageState.WITHHELD, ("a", "x"))
    move(shop, ImageState.FOLDED, ("b", "y"))
    assert shop.discard(revision) == 0
    assert shop.upload("a", "x").state is ImageState.WITHHELD
    assert shop.upload("b", "y").state is ImageState.PENDING
