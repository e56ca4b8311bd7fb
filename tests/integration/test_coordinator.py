"""The coordinator's promises, under every order, loss and repetition of messages."""

from pathlib import Path

import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain.catalog import ImageState, ProductFields
from services.core.domain.operations import OperationKind, OperationState
from tests.integration.import_world import World, row


def finished(world: World, operation: str) -> OperationState:
    return world.operation(operation).state


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_lost_repeated_or_reordered_every_row_ends_once(
    tmp_path: Path, vectors: QdrantVectors, seed: int
) -> None:
    world = World(tmp_path, vectors, seed)
    world.create("shop")
    digests = [world.image(f"{seed}-{n}") for n in range(30)]
    bad = set(digests[5::7])
    world.unusable = dict.fromkeys(bad, "IMAGE_UNDECODABLE")
    rows = [row(f"sku-{n // 2}", digest, price=n) for n, digest in enumerate(digests)]
    rows += [row("lost", "0" * 64), {"problem": {"reason": "ROW_MALFORMED", "field": "row"}}]
    operation = world.start_import("shop", rows)
    world.run(loss=0.1, repetition=0.2)

    ended = world.operation(operation)
    assert ended.state is OperationState.SUCCEEDED
    assert ended.total_rows == ended.counts.rows_read == len(rows)
    assert ended.counts.rows_accepted == len(digests) - len(bad)
    assert ended.counts.rows_rejected == len(bad) + 2
    expected = {(f"sku-{n // 2}", d) for n, d in enumerate(digests) if d not in bad}
    assert set(world.found("shop")) == expected
    assert ended.counts.points_indexed == len(expected)


def test_a_coordinator_killed_after_every_message_still_finishes(world: World) -> None:
    digests = [world.image(str(n)) for n in range(10)]
    operation = world.start_import("shop", [row(f"s{n}", d) for n, d in enumerate(digests)])
    for _ in range(2_000):
        if finished(world, operation).done:
            break
        if world.queue.messages:
            world.deliver_one()
        world.queue.messages.clear()  # an embedded broker dies with its process
        world.start_coordinator()
        world.coordinator.recover()
        world.coordinator.tick()
        for _ in range(3):
            if world.queue.messages:
                world.deliver_one()
    assert finished(world, operation) is OperationState.SUCCEEDED
    assert len(world.found("shop")) == 10
    assert world.operation(operation).counts.rows_accepted == 10


def test_importing_the_same_again_changes_and_embeds_nothing(world: World) -> None:
    digests = [world.image(str(n)) for n in range(9)]
    rows = [row(f"s{n % 5}", d, title=f"T{n % 5}") for n, d in enumerate(digests)]
    world.start_import("shop", rows)
    world.run()
    before, embedded = world.found("shop"), len(world.embedded)
    again = world.start_import("shop", rows)
    world.run()
    counts = world.operation(again).counts
    assert (counts.products_created, counts.products_updated, counts.products_unchanged) == (
        0,
        0,
        5,
    )
    assert (counts.points_indexed, counts.images_embedded, counts.images_reused) == (0, 0, 9)
    assert len(world.embedded) == embedded
    assert world.found("shop") == before


def test_a_changed_price_writes_payloads_and_embeds_nothing(world: World) -> None:
    digest = world.image("x")
    world.start_import("shop", [row("a", digest, price="1.50")])
    world.run()
    again = world.start_import("shop", [row("a", digest, price="2.50")])
    world.run()
    counts = world.operation(again).counts
    assert (counts.products_updated, counts.images_embedded, counts.points_indexed) == (1, 0, 1)
    assert world.found("shop")["a", digest]["price"] == 2.5


def test_images_that_a_product_no_longer_lists_are_removed_but_uploads_stay(world: World) -> None:
    old, new, kept = world.image("old"), world.image("new"), world.image("uploaded")
    world.start_import("shop", [row("a", old), row("b", old)])
    world.run()
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.add_image("shop", "a", kept, revision, world.clock.now())
        request = {"products": ["a"], "embed": [kept]}
        tx.operations.create(OperationKind.CHANGE, "shop", revision, request, world.clock.now())
    second = world.start_import("shop", [row("a", new)])
    world.run()
    assert set(world.found("shop")) == {("a", new), ("a", kept), ("b", old)}
    assert world.operation(second).counts.images_removed == 1


def test_rows_of_one_sku_merge_first_value_first_whatever_the_order(world: World) -> None:
    one, two = world.image("1"), world.image("2")
    rows = [row("a", one, title="", labels=["x"]), *(row(f"f{n}", one) for n in range(8))]
    rows += [row("a", two, title="Second"), row("a", one, title="Third")]
    operation = world.start_import("shop", rows)
    world.run(repetition=0.1)
    with world.records.begin() as tx:
        assert tx.products.get("shop", "a").fields.title == "Second"
        assert tx.products.get("shop", "a").image_count == 2
    ended = world.operation(operation)
    assert ended.counts.rejected_by_reason["FIELD_DISAGREES"] == 1
    assert ended.counts.rows_accepted == len(rows)


def test_a_product_deleted_during_an_import_stays_deleted(world: World) -> None:
    digest = world.image("x")
    operation = world.start_import("shop", [row("a", digest), row("b", digest)])
    world.coordinator.tick()
    while not any(m.TASK == "indexing.shard" for m in world.queue.messages):
        world.deliver_one()
    late = list(world.queue.messages)
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.delete("shop", "a", revision, world.clock.now())
        tx.operations.create(
            OperationKind.CHANGE, "shop", revision, {"products": ["a"]}, world.clock.now()
        )
    world.queue.messages.clear()
    world.coordinator.tick()
    while world.queue.messages:
        world.deliver_one()
    world.queue.messages += late  # the older write arrives after the deletion
    world.run()
    assert set(world.found("shop")) == {("b", digest)}
    assert finished(world, operation) is OperationState.SUCCEEDED


def test_of_two_imports_at_once_the_later_one_wins_in_any_order(world: World) -> None:
    first_image, second_image = world.image("1"), world.image("2")
    world.start_import("shop", [row(f"s{n}", first_image, title="old") for n in range(12)])
    world.start_import("shop", [row(f"s{n}", second_image, title="new") for n in range(12)])
    world.run(repetition=0.1)
    assert set(world.found("shop")) == {(f"s{n}", second_image) for n in range(12)}
    with world.records.begin() as tx:
        assert {p.fields.title for p in tx.products.page("shop", "", 50)} == {"new"}


def test_a_row_for_a_product_deleted_by_a_newer_write_is_rejected(world: World) -> None:
    digest = world.image("x")
    world.start_import("shop", [row("a", digest)])
    world.run()
    operation = world.start_import("shop", [row("a", digest)])
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.delete("shop", "a", revision, world.clock.now())
        tx.operations.create(
            OperationKind.CHANGE, "shop", revision, {"products": ["a"]}, world.clock.now()
        )
    world.run()
    assert world.operation(operation).counts.rejected_by_reason == {"SUPERSEDED": 1}
    assert not world.found("shop")


def test_cancelling_keeps_what_is_recorded_and_leaves_nothing_half_done(world: World) -> None:
    digests = [world.image(str(n)) for n in range(60)]
    operation = world.start_import("shop", [row(f"s{n}", d) for n, d in enumerate(digests)])
    world.coordinator.tick()
    for _ in range(20):
        world.deliver_one()
    with world.records.begin(write=True) as tx:
        tx.operations.cancel(operation, world.clock.now())
    world.run()
    assert finished(world, operation) is OperationState.CANCELLED
    with world.records.begin() as tx:
        products = tx.products.page("shop", "", 100)
        states = {i.state for p in products for i in tx.products.page_images("shop", p.id, "", 9)}
    assert states <= {ImageState.SEARCHABLE}
    assert {sku for sku, _ in world.found("shop")} == {p.fields.sku for p in products}
    assert 0 < len(products) < 60


def test_a_bad_image_is_not_tried_again_by_the_next_import(world: World) -> None:
    digest = world.image("bad")
    world.unusable = {digest: "IMAGE_UNDECODABLE"}
    world.start_import("shop", [row("a", digest)])
    world.run()
    world.unusable = {}
    again = world.start_import("shop", [row("a", digest)])
    world.run()
    counts = world.operation(again).counts
    assert (counts.rows_rejected, counts.images_embedded) == (1, 0)


def test_the_report_lists_every_rejection_with_row_reason_and_value(world: World) -> None:
    good, bad = world.image("good"), world.image("bad")
    world.unusable = {bad: "IMAGE_TRUNCATED"}
    rows = [row("a", good, bad), row("b", bad), row("", good), row("c", good, price="-1")]
    operation = world.start_import("shop", rows)
    world.run()
    ended = world.operation(operation)
    lines = world.objects.get(ended.result["errors_uri"]).decode().splitlines()
    assert lines[0] == "row,sku,reason,field,value,row_rejected"
    assert lines[1] == f"1,a,IMAGE_TRUNCATED,images,{bad[:6]}.jpg,False"
    assert lines[2] == f"2,b,IMAGE_TRUNCATED,images,{bad[:6]}.jpg,True"
    assert lines[3].startswith("3,,SKU_MISSING,sku,")
    assert lines[4].startswith("4,c,")
    assert len(ended.result["rejections"]) == 4
    assert not list(world.objects.keys(f"working/{operation}/"))


def test_deleting_a_catalogue_removes_its_records_and_points(world: World) -> None:
    digest = world.image("x")
    world.start_import("shop", [row(f"s{n}", digest) for n in range(7)])
    world.run()
    with world.records.begin(write=True) as tx:
        collection = tx.catalogs.deployment("shop").collection
        revision = tx.catalogs.next_revision("shop")
        tx.catalogs.mark_deleting("shop")
        request = {"collections": [[collection, ""]]}
        deletion = tx.operations.create(
            OperationKind.DELETE_CATALOG, "shop", revision, request, world.clock.now()
        )
    world.run()
    assert finished(world, deletion.id) is OperationState.SUCCEEDED
    assert world.vectors.count(collection) == 0
    world.create("shop")
    with world.records.begin() as tx:
        assert tx.catalogs.get("shop").product_count == 0


def test_an_import_whose_catalogue_disappears_fails_with_the_reason(world: World) -> None:
    operation = world.start_import("shop", [row("a", world.image("x"))])
    with world.records.begin(write=True) as tx:
        tx.catalogs.mark_deleting("shop")
    world.run()
    ended = world.operation(operation)
    assert (ended.state, ended.error_reason) == (OperationState.FAILED, "CATALOG_NOT_FOUND")


def test_a_price_change_by_hand_survives_an_import_that_was_accepted_before(world: World) -> None:
    digest = world.image("x")
    world.start_import("shop", [row("a", digest, price=1)])
    world.run()
    world.start_import("shop", [row("a", digest, price=2)])
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        fields = ProductFields("a", price=3)
        tx.products.update("shop", "a", fields, revision, world.clock.now())
        tx.operations.create(
            OperationKind.CHANGE, "shop", revision, {"products": ["a"]}, world.clock.now()
        )
    world.run()
    assert world.found("shop")["a", digest]["price"] == 3


def test_a_product_whose_only_images_are_unusable_is_not_made(world: World) -> None:
    good, bad = world.image("good"), world.image("bad")
    world.unusable = {bad: "IMAGE_UNDECODABLE"}
    operation = world.start_import("shop", [row("a", good), row("b", bad)])
    world.run()
    assert world.operation(operation).counts.products_created == 1
    with world.records.begin() as tx:
        assert [p.id for p in tx.products.page("shop", "", 9)] == ["a"]


def test_a_product_keeps_its_images_when_its_new_row_has_no_usable_one(world: World) -> None:
    good, bad = world.image("good"), world.image("bad")
    world.start_import("shop", [row("a", good)])
    world.run()
    world.unusable = {bad: "IMAGE_UNDECODABLE"}
    world.start_import("shop", [row("a", bad)])
    world.run()
    assert set(world.found("shop")) == {("a", good)}
