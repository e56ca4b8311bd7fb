"""Rows that say what they said last time are not merged again, and nothing is lost by that."""

from services.core.domain.catalog import ProductFields
from services.core.domain.operations import ImportCounts
from tests.integration.import_world import World, row


def imported(world: World, *rows: dict[str, object]) -> ImportCounts:
    operation = world.start_import("shop", rows)
    world.run()
    return world.operation(operation).counts


def title(world: World, product: str) -> str:
    with world.records.begin() as tx:
        return tx.products.get("shop", product).fields.title


def test_the_same_rows_again_are_counted_as_rows_that_are_merged(world: World) -> None:
    rows = [row(f"s{n}", world.image(f"picture {n // 2}"), title=f"T{n}") for n in range(10)]
    imported(world, *rows)
    counts = imported(world, *rows)
    assert (counts.rows_accepted, counts.products_unchanged) == (10, 10)
    assert (counts.images_reused, counts.images_embedded, counts.points_indexed) == (5, 0, 0)
    assert (counts.products_updated, counts.images_removed, counts.rows_rejected) == (0, 0, 0)


def test_what_the_api_changed_is_set_back_by_the_same_row(world: World) -> None:
    same = row("s", world.image("a"), title="from the feed")
    imported(world, same)
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        fields = ProductFields(sku="s", title="by hand")
        tx.products.update("shop", "s", fields, revision, world.clock.now())
    assert imported(world, same).products_updated == 1
    assert title(world, "s") == "from the feed"


def test_a_deleted_image_comes_back_with_the_same_row(world: World) -> None:
    first, second = world.image("a"), world.image("b")
    same = row("s", first, second)
    imported(world, same)
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.delete_image("shop", "s", first, revision, world.clock.now())
    imported(world, same)
    assert set(world.found("shop")) == {("s", first), ("s", second)}


def test_a_second_row_of_a_product_adds_to_the_one_that_stayed_the_same(world: World) -> None:
    pictures = [world.image(f"picture {n}") for n in range(4)]
    others = [row(f"other {n}", world.image(f"other {n}")) for n in range(6)]
    same = row("s", *pictures[:2], title="T")
    imported(world, same, *others)
    imported(world, same, *others, row("s", pictures[2]))
    assert {sha for sku, sha in world.found("shop") if sku == "s"} == set(pictures[:3])
    imported(world, same, *others)
    assert {sha for sku, sha in world.found("shop") if sku == "s"} == set(pictures[:2])


def test_images_left_over_by_a_cancelled_import_go_with_the_next_one(world: World) -> None:
    old, new = world.image("old"), world.image("new")
    rows = [row(f"s{n}", world.image(f"picture {n}")) for n in range(12)]
    imported(world, row("s", old), *rows)
    cancelled = world.start_import("shop", [row("s", new), *rows])
    while not {("s", new), ("s", old)} <= set(world.found("shop")):
        world.coordinator.tick()
        world.deliver_one()
    with world.records.begin(write=True) as tx:
        tx.operations.cancel(cancelled, world.clock.now())
    world.run()
    assert world.operation(cancelled).state == "CANCELLED"
    imported(world, row("s", new), *rows)
    assert {sha for sku, sha in world.found("shop") if sku == "s"} == {new}


def test_an_image_that_failed_in_passing_is_tried_again(world: World) -> None:
    good, shaky = world.image("good"), world.image("shaky")
    same = row("s", good, shaky)
    world.unusable = {shaky: "IMAGE_DECODE_TIMEOUT"}
    assert imported(world, same).images_refused == 1
    world.unusable = {}
    assert imported(world, same).images_refused == 0
    assert set(world.found("shop")) == {("s", good), ("s", shaky)}


def test_an_image_that_stays_refused_is_reported_every_time(world: World) -> None:
    good, bad = world.image("good"), world.image("bad")
    world.unusable = {bad: "IMAGE_UNDECODABLE"}
    assert [imported(world, row("s", good, bad)).images_refused for _ in range(3)] == [1, 1, 1]


def test_a_product_that_was_deleted_comes_back_with_the_same_row(world: World) -> None:
    picture = world.image("a")
    imported(world, row("s", picture))
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.delete("shop", "s", revision, world.clock.now())
    assert imported(world, row("s", picture)).products_created == 1
    assert set(world.found("shop")) == {("s", picture)}
