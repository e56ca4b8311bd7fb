"""Full feeds that remove, dry runs that do not, and imports that stop early."""

from collections.abc import Sequence
from typing import Any

from services.core.domain.catalog import ProductFields
from services.core.domain.operations import Operation, OperationState
from tests.integration.import_world import World, row

Rows = list[dict[str, Any]]
UNREADABLE: dict[str, Any] = {"fields": {}, "problem": {"reason": "BAD_JSON", "field": "row"}}


def rows_of(world: World, skus: Sequence[int]) -> Rows:
    return [row(f"s{n}", world.image(f"image {n}"), price=n) for n in skus]


def imported(world: World, rows: Rows, **rules: Any) -> Operation:
    operation = world.start_import("shop", rows, **rules)
    world.run()
    return world.operation(operation)


def fed(world: World, rows: Rows, **rules: Any) -> Operation:
    return imported(world, rows, prune=True, row_count=len(rows), **rules)


def skus_found(world: World) -> set[str]:
    return {sku for sku, _ in world.found("shop")}


def products(world: World) -> dict[str, ProductFields]:
    with world.records.begin() as tx:
        return {each.id: each.fields for each in tx.products.page("shop", "", 1_000)}


def named(skus: Sequence[int]) -> set[str]:
    return {f"s{n}" for n in skus}


def test_a_full_feed_removes_what_it_no_longer_lists(world: World) -> None:
    imported(world, rows_of(world, range(100)))
    operation = fed(world, rows_of(world, range(4, 101)))
    assert operation.state is OperationState.SUCCEEDED
    assert operation.counts.products_removed == 4
    assert operation.result["prune"] == {
        "candidate_count": 4,
        "removed_count": 4,
        "spared_count": 0,
        "refusal": "",
        "message": "",
    }
    assert skus_found(world) == set(products(world)) == named(range(4, 101))


def test_an_import_without_prune_removes_nothing(world: World) -> None:
    imported(world, rows_of(world, range(20)))
    operation = imported(world, rows_of(world, [0]))
    assert operation.counts.products_removed == 0
    assert len(products(world)) == 20


def test_a_feed_that_lost_rows_on_the_way_removes_nothing(world: World) -> None:
    imported(world, rows_of(world, range(100)))
    operation = imported(world, rows_of(world, range(98)), prune=True, row_count=100)
    assert operation.state is OperationState.SUCCEEDED
    assert operation.result["prune"]["refusal"] == "MANIFEST_INCOMPLETE"
    assert len(products(world)) == 100


def test_a_feed_of_unknown_length_removes_nothing(world: World) -> None:
    imported(world, rows_of(world, range(100)))
    operation = imported(world, rows_of(world, range(98)), prune=True)
    assert operation.result["prune"]["refusal"] == "MANIFEST_INCOMPLETE"
    assert len(products(world)) == 100


def test_a_feed_with_a_row_whose_sku_is_unknown_removes_nothing(world: World) -> None:
    imported(world, rows_of(world, range(100)))
    operation = fed(world, [*rows_of(world, range(98)), UNREADABLE])
    assert operation.result["prune"]["refusal"] == "ROWS_UNREADABLE"
    assert "1 rows" in operation.result["prune"]["message"]
    assert len(products(world)) == 100


def test_a_row_without_a_sku_is_about_no_product_and_stops_no_removal(world: World) -> None:
    imported(world, rows_of(world, range(100)))
    nameless = row("", world.image("nameless"))
    operation = fed(world, [*rows_of(world, range(98)), nameless])
    assert operation.counts.rows_rejected == 1
    assert skus_found(world) == named(range(98))


def test_a_sku_with_a_rejected_row_is_spared(world: World) -> None:
    imported(world, rows_of(world, range(100)))
    broken = row("s99", "0" * 64)
    operation = fed(world, [*rows_of(world, range(97)), broken])
    assert operation.result["prune"]["spared_count"] == 1
    assert operation.result["prune"]["removed_count"] == 2
    assert skus_found(world) == named([*range(97), 99])


def test_more_removals_than_allowed_are_refused_unless_the_user_says_so(world: World) -> None:
    imported(world, rows_of(world, range(100)))
    half = rows_of(world, range(50))
    refused = fed(world, half).result["prune"]
    assert refused["refusal"] == "TOO_MANY_REMOVALS"
    assert refused["candidate_count"] == 50
    assert "--max-removals 50.5%" in refused["message"]
    assert len(products(world)) == 100
    assert fed(world, half, max_removals=0.5).counts.products_removed == 50
    assert skus_found(world) == named(range(50))


def test_new_products_of_the_feed_do_not_widen_what_it_may_remove(world: World) -> None:
    imported(world, rows_of(world, range(20)))
    operation = fed(world, rows_of(world, range(10, 1_000)))
    assert operation.result["prune"]["refusal"] == "TOO_MANY_REMOVALS"
    assert "10 of 20 products" in operation.result["prune"]["message"]


def test_products_of_the_api_and_changes_newer_than_the_feed_are_spared(world: World) -> None:
    imported(world, rows_of(world, range(10)))
    feed = rows_of(world, range(8))
    operation = world.start_import("shop", feed, prune=True, row_count=8, max_removals=1.0)
    with world.records.begin(write=True) as tx:
        own, newer = (tx.catalogs.next_revision("shop") for _ in range(2))
        tx.products.create("shop", ProductFields(sku="own"), own, world.clock.now())
        changed = ProductFields(sku="s9", title="changed meanwhile")
        tx.products.update("shop", "s9", changed, newer, world.clock.now())
    world.run()
    assert world.operation(operation).counts.products_removed == 1
    assert set(products(world)) == named([*range(8), 9]) | {"own"}


def test_an_older_feed_never_removes_what_a_newer_import_lists(world: World) -> None:
    imported(world, rows_of(world, range(10)))
    older = world.start_import(
        "shop", rows_of(world, range(5)), prune=True, row_count=5, max_removals=1.0
    )
    newer = world.start_import("shop", rows_of(world, range(5, 10)))
    world.run(repetition=0.2)
    assert world.operation(newer).state is OperationState.SUCCEEDED
    assert world.operation(older).state is OperationState.SUCCEEDED
    again = fed(world, rows_of(world, range(10)))
    assert again.counts.products_removed == 0
    assert named(range(5, 10)) <= set(products(world))


def test_a_coordinator_killed_while_it_prunes_finishes_the_removal(world: World) -> None:
    imported(world, rows_of(world, range(40)))
    feed = rows_of(world, range(20))
    operation = world.start_import("shop", feed, prune=True, row_count=20, max_removals=1.0)
    for _ in range(2_000):
        if world.operation(operation).state.done:
            break
        if world.queue.messages:
            world.deliver_one()
        world.queue.messages.clear()
        world.start_coordinator()
        world.coordinator.recover()
        world.coordinator.tick()
        for _ in range(3):
            if world.queue.messages:
                world.deliver_one()
    assert world.operation(operation).counts.products_removed == 20
    assert skus_found(world) == named(range(20))


def test_a_removed_product_comes_back_with_a_later_feed(world: World) -> None:
    imported(world, rows_of(world, range(10)))
    fed(world, rows_of(world, range(9)), max_removals=1.0)
    operation = fed(world, rows_of(world, range(10)))
    assert operation.counts.products_created == 1
    assert operation.counts.images_embedded == 0
    assert skus_found(world) == named(range(10))


def test_a_dry_run_changes_nothing_and_counts_what_the_import_then_does(world: World) -> None:
    imported(world, rows_of(world, range(30)))
    before = (products(world), world.found("shop"))
    feed = rows_of(world, range(2, 40))
    feed[0]["fields"]["price"] = 99
    feed[1]["images"] = row("s3", world.image("another"))["images"]
    feed.append({"fields": {"sku": "bad"}, "images": [{"source": "x", "error": "IMAGE_EMPTY"}]})
    embedded = len(world.embedded)
    dry = fed(world, feed, validate_only=True, max_removals=0.5)
    assert dry.state is OperationState.SUCCEEDED
    assert (products(world), world.found("shop")) == before
    assert len(world.embedded) == embedded
    assert dry.result["prune"]["removed_count"] == 2
    changes = {each["sku"]: each for each in dry.result["changes"]}
    assert changes["s2"] == {"sku": "s2", "change": "updated", "fields": ["price"]}
    assert changes["s3"] == {"sku": "s3", "change": "updated", "fields": ["images"]}
    assert changes["s30"]["change"] == "created"

    real = fed(world, feed, max_removals=0.5)
    for name in (
        "rows_read", "rows_accepted", "rows_rejected", "products_created", "products_updated",
        "products_unchanged", "images_embedded", "images_reused", "images_removed",
        "rejected_by_reason",
    ):  # fmt: skip
        assert getattr(dry.counts, name) == getattr(real.counts, name), name
    assert real.counts.products_removed == 2


def test_a_product_over_many_shards_counts_once_in_a_dry_run(world: World) -> None:
    rows = [row("one", world.image(f"view {n}")) for n in range(12)]
    dry = imported(world, rows, validate_only=True)
    assert dry.counts.products_created == 1
    assert dry.counts.images_embedded == 12
    assert products(world) == {}


def test_an_import_stops_after_too_many_errors_and_stays_consistent(world: World) -> None:
    good, bad = rows_of(world, range(60)), [row(f"bad{n}", "0" * 64) for n in range(20)]
    operation = imported(world, [*good[:20], *bad, *good[20:]], max_errors=5)
    assert operation.state is OperationState.FAILED
    assert operation.error_reason == "TOO_MANY_ERRORS"
    assert operation.counts.rows_read < 80
    assert set(products(world)) == skus_found(world)
    assert named(range(20)) <= skus_found(world)


def test_as_many_errors_as_allowed_stop_nothing(world: World) -> None:
    bad = [row(f"bad{n}", "0" * 64) for n in range(5)]
    operation = imported(world, [*bad, *rows_of(world, range(9))], max_errors=5)
    assert operation.state is OperationState.SUCCEEDED
    assert skus_found(world) == named(range(9))


def test_the_report_says_where_the_time_went(world: World) -> None:
    stages = imported(world, rows_of(world, range(9))).result["stages"]
    assert {stage: items for stage, (_, items, _) in stages.items()} == {
        "manifest": 9,
        "rows": 9,
        "embed": 9,
        "index": 9,
    }
