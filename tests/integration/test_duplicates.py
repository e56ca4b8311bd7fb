"""What is kept out of search, under every order, loss and repetition of messages."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain.catalog import ImageState
from services.core.domain.operations import OperationKind
from services.core.messages import IndexShard
from tests.integration.import_world import World, pixels_of, row

MOST = 3  # products that may show one picture


@pytest.fixture
def world(tmp_path: Path, vectors: QdrantVectors) -> World:
    made = World(tmp_path, vectors, products_per_image=MOST)
    made.create("shop")
    return made


def copy_of(world: World, digest: str, name: str) -> str:
    """Another file that shows almost the same as the image `digest`."""
    made = world.image(name)
    noise = np.random.default_rng(len(world.pixels)).integers(-3, 4, (32, 32, 3))
    shown = world.pixels.get(digest, pixels_of(digest)) + noise
    world.pixels[made] = shown.clip(0, 255).astype(np.uint8)
    return made


def states(world: World, product: str) -> dict[str, ImageState]:
    with world.records.begin() as tx:
        return {i.sha256: i.state for i in tx.products.page_images("shop", product, "", 99)}


def hidden(world: World, product: str) -> set[str]:
    wanted = (ImageState.WITHHELD, ImageState.FOLDED)
    return {sha for sha, state in states(world, product).items() if state in wanted}


def delete_image(world: World, product: str, digest: str) -> None:
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.delete_image("shop", product, digest, revision, world.clock.now())
        request = {"products": [product]}
        tx.operations.create(OperationKind.CHANGE, "shop", revision, request, world.clock.now())


def test_the_same_bytes_of_many_products_are_embedded_once(world: World) -> None:
    digest = world.image("x")
    operation = world.start_import("shop", [row(f"s{n}", digest, digest) for n in range(MOST)])
    world.run(repetition=0.1)
    assert set(world.embedded) == {digest}
    assert world.operation(operation).counts.images_embedded == 1
    assert set(world.found("shop")) == {(f"s{n}", digest) for n in range(MOST)}


def test_of_near_duplicates_only_the_first_of_the_manifest_is_found(world: World) -> None:
    first, other = world.image("first"), world.image("other view")
    copies = [copy_of(world, first, f"copy {n}") for n in range(2)]
    rows = [row("a", first, copies[0], other), row("b", copies[0]), row("a", copies[1])]
    operation = world.start_import("shop", rows, fold_duplicates=True)
    world.run()
    assert set(world.found("shop")) == {("a", first), ("a", other), ("b", copies[0])}
    assert hidden(world, "a") == set(copies)
    counts = world.operation(operation).counts
    assert (counts.images_folded, counts.rows_accepted, counts.rows_rejected) == (2, 3, 0)


def test_without_the_flag_nothing_is_folded(world: World) -> None:
    first = world.image("first")
    copy = copy_of(world, first, "copy")
    operation = world.start_import("shop", [row("a", first, copy)])
    world.run()
    assert set(world.found("shop")) == {("a", first), ("a", copy)}
    assert world.operation(operation).counts.images_folded == 0


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_lost_repeated_or_reordered_the_same_is_kept_out(
    tmp_path: Path, vectors: QdrantVectors, seed: int
) -> None:
    world = World(tmp_path, vectors, seed, products_per_image=MOST)
    world.create("shop")
    firsts = [world.image(f"first {n}") for n in range(12)]
    copies = [copy_of(world, first, f"copy {n}") for n, first in enumerate(firsts)]
    nothing = world.image("no image available")
    rows = [row(f"p{n}", first) for n, first in enumerate(firsts)]
    rows += [row(f"p{n}", copy, nothing) for n, copy in enumerate(copies)]
    operation = world.start_import("shop", rows, fold_duplicates=True)
    world.run(loss=0.1, repetition=0.2)
    assert set(world.found("shop")) == {(f"p{n}", first) for n, first in enumerate(firsts)}
    counts = world.operation(operation).counts
    assert (counts.images_folded, counts.images_withheld) == (12, 12)
    assert counts.rejected_by_reason == {"IMAGE_SHARED_BY_MANY": 12}
    assert all(hidden(world, f"p{n}") == {copies[n], nothing} for n in range(12))


def test_importing_folded_and_withheld_images_again_changes_nothing(world: World) -> None:
    first, nothing = world.image("first"), world.image("nothing")
    copy = copy_of(world, first, "copy")
    rows = [row("a", first, copy), *(row(f"s{n}", nothing) for n in range(MOST + 1))]
    one = world.start_import("shop", rows, fold_duplicates=True)
    world.run()
    before = states(world, "a") | states(world, "s0")
    two = world.start_import("shop", rows, fold_duplicates=True)
    world.run()
    assert states(world, "a") | states(world, "s0") == before
    counts, again = world.operation(one).counts, world.operation(two).counts
    assert (again.points_indexed, again.images_embedded, again.products_unchanged) == (0, 0, 5)
    assert again.images_folded == counts.images_folded == 1
    assert again.images_withheld == counts.images_withheld == MOST + 1


def test_the_last_import_that_lists_a_product_says_whether_it_folds(world: World) -> None:
    first = world.image("first")
    copy = copy_of(world, first, "copy")
    rows = [row("a", first, copy), row("b", first, copy)]
    world.start_import("shop", rows, fold_duplicates=True)
    world.run()
    world.start_import("shop", rows[:1])
    world.run()
    assert set(world.found("shop")) == {("a", first), ("a", copy), ("b", first)}
    world.start_import("shop", rows, fold_duplicates=True)
    world.run()
    assert set(world.found("shop")) == {("a", first), ("b", first)}


def test_another_order_in_the_manifest_keeps_another_image(world: World) -> None:
    first = world.image("first")
    copy = copy_of(world, first, "copy")
    for images in ([first, copy], [copy, first], [copy]):
        world.start_import("shop", [row("a", *images)], fold_duplicates=True)
        world.run()
        assert set(world.found("shop")) == {("a", images[0])}
    assert states(world, "a") == {copy: ImageState.SEARCHABLE}


def test_a_folded_image_comes_back_when_the_one_before_it_is_deleted(world: World) -> None:
    first = world.image("first")
    copies = [copy_of(world, first, f"copy {n}") for n in range(2)]
    world.start_import("shop", [row("a", first, *copies)], fold_duplicates=True)
    world.run()
    delete_image(world, "a", first)
    world.run()
    assert set(world.found("shop")) == {("a", copies[0])}
    assert hidden(world, "a") == {copies[1]}


def test_a_folded_image_that_is_uploaded_is_found(world: World) -> None:
    first = world.image("first")
    copy = copy_of(world, first, "copy")
    rows = [row("a", first, copy)]
    world.start_import("shop", rows, fold_duplicates=True)
    world.run()
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.add_image("shop", "a", copy, revision, world.clock.now())
    world.accept(OperationKind.CHANGE, "shop", {"products": ["a"], "embed": [copy]})
    world.run()
    assert set(world.found("shop")) == {("a", first), ("a", copy)}
    world.start_import("shop", rows, fold_duplicates=True)
    world.run()
    assert set(world.found("shop")) == {("a", first), ("a", copy)}


def test_a_price_change_writes_nothing_about_images_that_are_kept_out(world: World) -> None:
    first = world.image("first")
    copy = copy_of(world, first, "copy")
    world.start_import("shop", [row("a", first, copy, price=1)], fold_duplicates=True)
    world.run()
    again = world.start_import("shop", [row("a", first, copy, price=2)], fold_duplicates=True)
    world.run()
    assert world.operation(again).counts.points_indexed == 1
    assert {key: found["price"] for key, found in world.found("shop").items()} == {("a", first): 2}


def test_a_picture_that_too_many_products_show_is_reported_and_rejects_no_row(
    world: World,
) -> None:
    nothing, own = world.image("nothing"), world.image("own")
    rows = [row(f"s{n}", nothing) for n in range(MOST)] + [row("s3", own, nothing)]
    operation = world.start_import("shop", rows)
    world.run()
    assert set(world.found("shop")) == {("s3", own)}
    ended = world.operation(operation)
    assert (ended.counts.rows_accepted, ended.counts.rows_rejected) == (4, 0)
    assert (ended.counts.images_withheld, ended.counts.images_refused) == (4, 0)
    lines = world.objects.get(ended.result["errors_uri"]).decode().splitlines()[1:]
    reason = f"IMAGE_SHARED_BY_MANY,images,{nothing[:6]}.jpg,False"
    assert lines == [f"{n + 1},s{n},{reason}" for n in range(4)]
    with world.records.begin() as tx:
        assert len(tx.products.page("shop", "", 9)) == 4


def test_a_withheld_picture_comes_back_when_few_products_show_it(world: World) -> None:
    nothing, own = world.image("nothing"), world.image("own")
    world.start_import("shop", [row(f"s{n}", nothing) for n in range(MOST + 2)])
    world.run()
    assert not world.found("shop")
    delete_image(world, "s0", nothing)
    world.run()
    assert not world.found("shop")  # MOST + 1 are still too many
    last = world.start_import("shop", [row("s1", own)])
    world.run()
    expected = {("s1", own), *((f"s{n}", nothing) for n in range(2, MOST + 2))}
    assert set(world.found("shop")) == expected
    assert world.operation(last).counts.images_withheld == 0


def test_another_product_with_a_withheld_picture_never_shows_it(world: World) -> None:
    nothing = world.image("nothing")
    world.start_import("shop", [row(f"s{n}", nothing) for n in range(MOST + 1)])
    world.run()
    world.start_import("shop", [row("new", nothing)])
    world.coordinator.tick()
    while not any(isinstance(each, IndexShard) for each in world.queue.messages):
        world.deliver_one()
    assert states(world, "new") == {nothing: ImageState.WITHHELD}
    world.run()
    assert not world.found("shop")


def test_what_is_folded_under_a_picture_that_is_withheld_comes_back(world: World) -> None:
    shared = world.image("shared")
    copy = copy_of(world, shared, "copy")
    world.start_import("shop", [row("a", shared, copy)], fold_duplicates=True)
    world.run()
    rows = [row("a", shared, copy), *(row(f"s{n}", shared) for n in range(MOST))]
    world.start_import("shop", rows, fold_duplicates=True)
    world.run()
    assert set(world.found("shop")) == {("a", copy)}


def test_an_upsert_that_arrives_after_its_image_was_withheld_is_undone(world: World) -> None:
    shared, own = world.image("shared"), world.image("own")
    world.start_import("shop", [row("a", shared, own)])
    world.coordinator.tick()
    while not any(isinstance(each, IndexShard) for each in world.queue.messages):
        world.deliver_one()
    late = next(each for each in world.queue.messages if isinstance(each, IndexShard))
    world.queue.messages.remove(late)
    other = world.start_import("shop", [row(f"s{n}", shared) for n in range(MOST)])
    world.coordinator.tick()
    while not world.operation(other).state.done:
        world.deliver_one()
    assert hidden(world, "a") == {shared}
    world.queue.publish(late)
    world.run()
    assert set(world.found("shop")) == {("a", own)}


def test_a_coordinator_killed_after_every_message_keeps_the_same_out(world: World) -> None:
    first, nothing = world.image("first"), world.image("nothing")
    copy = copy_of(world, first, "copy")
    rows = [row("a", first, nothing), *(row(f"s{n}", nothing) for n in range(5)), row("a", copy)]
    operation = world.start_import("shop", rows, fold_duplicates=True)
    for _ in range(2_000):
        if world.operation(operation).state.done:
            break
        world.queue.messages.clear()
        world.start_coordinator()
        world.coordinator.recover()
        world.coordinator.tick()
        for _ in range(3):
            if world.queue.messages:
                world.deliver_one()
    counts = world.operation(operation).counts
    assert (counts.images_folded, counts.images_withheld) == (1, 6)
    assert counts.rejected_by_reason == {"IMAGE_SHARED_BY_MANY": 6}
    assert set(world.found("shop")) == {("a", first)}


def test_a_report_undoes_only_what_its_own_plan_wrote(world: World) -> None:
    rows = []
    for number in range(24):
        first = world.image(f"first {number}")
        rows.append(row(f"p{number}", first, copy_of(world, first, f"copy {number}")))
    world.start_import("shop", rows, fold_duplicates=True)
    world.run()
    assert len(world.found("shop")) == 24
    with world.records.begin(write=True) as tx:
        later = world.clock.now() + timedelta(days=1)
        assert tx.operations.purge(OperationKind.CHANGE, later) == 0
