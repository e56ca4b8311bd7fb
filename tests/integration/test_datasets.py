"""Datasets: what is frozen is what was asked for, or the dataset says why it is not."""

from pathlib import Path

import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.dataset_files import GALLERY, QUERIES
from services.core.domain.operations import OperationState
from tests.integration.deploy_world import fill, some_work
from tests.integration.evaluation_world import (
    EvaluationWorld,
    dataset,
    frozen,
    left_files,
    make_dataset,
    open_world,
    queries,
)
from tests.integration.import_world import pixels_of, row


@pytest.fixture
def world(tmp_path: Path, vectors: QdrantVectors) -> EvaluationWorld:
    """With an empty catalogue `shop`, and models `other` and `duo`."""
    return open_world(tmp_path, vectors)


def test_a_dataset_has_the_photos_and_what_the_catalogue_shows(world: EvaluationWorld) -> None:
    fill(world, 9, title="Juice", categories=["Drinks > Juice"], parent="p")
    before = world.found("shop")
    operation = make_dataset(world, queries(world, 5, parent="burst"))
    made = dataset(world)
    assert made.state is OperationState.SUCCEEDED, made.error_message
    assert made.counts["queries"] == 5
    assert (made.counts["gallery"], made.counts["products"]) == (9, 9)
    shown = {(each.sku, each.sha256) for each in frozen(world, GALLERY)}
    assert shown == set(before)
    asked = frozen(world, QUERIES)
    assert [each.sku for each in asked] == [f"sku-{at}" for at in range(5)]
    assert {(each.title, each.category, each.parent, each.group) for each in asked} == {
        ("Juice", "Drinks > Juice", "p", "burst")
    }
    assert world.found("shop") == before
    with world.records.begin() as tx:
        assert len(tx.products.page("shop", "", 100)) == 9
    assert world.operation(operation).counts.rows_accepted == 5
    assert left_files(world, "working/", "manifests/") == []


def test_a_gallery_image_that_is_a_query_is_left_out(world: EvaluationWorld) -> None:
    fill(world, 6)
    twice = [row("sku-0", world.image("picture 0")), row("sku-1", world.image("photo 1"))]
    world.start_import("shop", [row("sku-0", world.image("picture 0"), world.image("more"))])
    world.run()
    make_dataset(world, twice)
    made = dataset(world)
    assert made.state is OperationState.SUCCEEDED, made.error_message
    assert (made.counts["gallery"], made.counts["left_out_by_hash"]) == (6, 1)


def test_a_query_that_looks_like_an_image_keeps_it_out_of_the_gallery(
    world: EvaluationWorld,
) -> None:
    fill(world, 4)
    photo, copied = world.image("photo 0"), world.image("picture 3")
    world.pixels[photo] = pixels_of(copied)
    make_dataset(world, [row("sku-0", photo)])
    made = dataset(world)
    assert made.state is OperationState.SUCCEEDED, made.error_message
    assert (made.counts["gallery"], made.counts["left_out_near"]) == (3, 1)


def test_rows_that_cannot_be_queries_fail_the_dataset_by_name(world: EvaluationWorld) -> None:
    fill(world, 4)
    broken = world.image("photo broken")
    world.unusable[broken] = "IMAGE_UNDECODABLE"
    rows = [*queries(world, 3), row("sku-3", "0" * 64), row("sku-3", broken), row("", broken)]
    operation = make_dataset(world, rows)
    made = dataset(world)
    assert (made.state, made.error_reason) == (OperationState.FAILED, "QUERIES_REJECTED")
    assert "3 queries cannot be used" in made.error_message
    for number in (4, 5, 6):
        assert f"row {number}: " in made.error_message
    assert "IMAGE_UNDECODABLE" in made.error_message
    done = world.operation(operation)
    assert (done.state, done.error_reason) == (OperationState.FAILED, "QUERIES_REJECTED")
    assert left_files(world, "working/", "datasets/", "manifests/") == []


def test_what_the_freezer_refuses_is_the_reason_of_the_dataset(world: EvaluationWorld) -> None:
    fill(world, 4)
    make_dataset(world, [*queries(world, 2), row("sku-unknown", world.image("photo x"))])
    made = dataset(world)
    assert (made.state, made.error_reason) == (OperationState.FAILED, "QUERIES_WITHOUT_PRODUCT")
    make_dataset(world, [*queries(world, 2), row("no", world.image("photo x"))], absent=True)
    made = dataset(world)
    assert (made.state, made.counts["absent"]) == (OperationState.SUCCEEDED, 1)


@pytest.mark.parametrize("seed", range(4))
def test_kills_and_losses_and_other_writes_do_not_change_a_dataset(
    tmp_path: Path, vectors: QdrantVectors, seed: int
) -> None:
    world = open_world(tmp_path, vectors, seed)
    fill(world, 20)
    operation = make_dataset(world, queries(world, 18), run=False)
    for _ in range(world.random.randrange(40)):
        some_work(world)
    fill(world, 5, start=20, run=False)
    world.start_coordinator()
    for _ in range(world.random.randrange(40)):
        some_work(world)
    world.start_coordinator()
    world.run(loss=0.15, repetition=0.2)
    made = dataset(world)
    assert made.state is OperationState.SUCCEEDED, made.error_message
    assert [each.sku for each in frozen(world, QUERIES)] == [f"sku-{at}" for at in range(18)]
    skus = [each.sku for each in frozen(world, GALLERY)]
    assert {f"sku-{at}" for at in range(20)} <= set(skus) <= {f"sku-{at}" for at in range(25)}
    assert len(skus) == len(set(skus)) == made.counts["gallery"]
    assert left_files(world, f"working/{operation}/") == []
