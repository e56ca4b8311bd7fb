"""Deployments: the new collection ends as the live one, whatever happens while it is filled."""

from pathlib import Path

import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.deployment_ports import DeploymentState
from services.core.domain import names
from services.core.domain.model import LinearSpec, Member, Model
from services.core.domain.operations import OperationKind, OperationState
from services.core.messages import EmbedShard, IndexShard, VerifyCollection
from tests.integration.deploy_world import (
    begin_model,
    create_model,
    delete_product,
    deploy,
    deployments,
    fill,
    images,
    is_write,
    register,
    settle,
    some_work,
    tell,
    without_revisions,
)
from tests.integration.import_world import BASE, World, spec_of

OTHER = spec_of("other")


def test_a_deploy_fills_a_new_collection_and_switches_to_it(world: World) -> None:
    fill(world, 9)
    before = world.found("shop")
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other")
    world.run()
    done = world.operation(operation)
    assert done.state is OperationState.SUCCEEDED, done.error_message
    assert done.counts.images_embedded == len(before) == done.counts.points_indexed
    assert done.result["deployment"]["state"] == "live"
    live, old = deployments(world)
    assert (live.number, live.state, live.model) == (2, DeploymentState.LIVE, "other")
    assert (old.number, old.state) == (1, DeploymentState.KEPT)
    assert without_revisions(world.found("shop")) == without_revisions(before)
    assert world.found("shop", 1) == before


@pytest.mark.parametrize("seed", range(6))
def test_imports_and_deletes_during_a_deploy_reach_both_collections(
    tmp_path: Path, vectors: QdrantVectors, seed: int
) -> None:
    world = World(tmp_path, vectors, seed)
    world.create("shop")
    fill(world, 40)
    register(world, "other", Model.plain(OTHER))
    deploy(world, "other")
    for _ in range(world.random.randrange(30)):
        some_work(world)
    fill(world, 12, start=35, run=False, title="changed")
    for _ in range(world.random.randrange(30)):
        some_work(world)
    delete_product(world, "sku-3")
    delete_product(world, "sku-37")
    world.start_coordinator()  # as after a kill
    world.run(loss=0.15, repetition=0.2)
    live, old = deployments(world)
    assert live.number == 2
    found, kept = world.found("shop"), world.found("shop", old.number)
    assert without_revisions(found) == without_revisions(kept)
    skus = {sku for sku, _ in found}
    assert skus == {f"sku-{each}" for each in range(47)} - {"sku-3", "sku-37"}
    with world.records.begin() as tx:
        titles = {tx.products.get("shop", names.product_id(sku)).fields.title for sku in skus}
    assert titles == {"", "changed"}


def test_what_changes_after_the_switch_reaches_the_old_collection_too(world: World) -> None:
    fill(world, 5)
    register(world, "other", Model.plain(OTHER))
    deploy(world, "other")
    world.run()
    fill(world, 3, start=5)
    delete_product(world, "sku-1")
    world.run()
    assert without_revisions(world.found("shop")) == without_revisions(world.found("shop", 1))
    with world.records.begin(write=True) as tx:
        tx.deployments.switch("shop", 1, world.clock.now())
    assert {sku for sku, _ in world.found("shop")} == {f"sku-{n}" for n in (0, 2, 3, 4, 5, 6, 7)}


def test_another_linear_part_embeds_nothing_again(world: World) -> None:
    fill(world, 30)
    white = create_model(world, "white", kind="linear", of=Model.plain(BASE), dimension=4)
    assert white.members[0].linear is not None
    assert white.embedding_dim == 4
    world.embedded.clear()
    deploy(world, "white")
    world.run()
    assert deployments(world)[0].model_digest == white.digest
    assert world.embedded == []
    assert len(world.found("shop")) == 30  # and every vector is the composed one


def test_an_ensemble_embeds_only_what_a_member_lacks(world: World) -> None:
    fill(world, 10)
    duo = Model((Member(BASE), Member(OTHER)))
    assert create_model(world, "duo", kind="ensemble", spec=duo) == duo
    world.embedded.clear()
    deploy(world, "duo")
    world.run()
    assert len(world.embedded) == 10
    assert len(world.found("shop")) == 10
    fill(world, 2, start=10)
    assert len(world.embedded) == 10 + 2 * 2
    assert len(world.found("shop")) == 12


def test_a_collection_that_is_not_whole_is_not_switched_to(world: World) -> None:
    fill(world, 6)
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other")
    building = deployments(world)[0]
    while not any(isinstance(each, VerifyCollection) for each in world.queue.messages):
        some_work(world)
    lost = building.point_id(*next(iter(images(world))))
    world.vectors.delete(building.collection, [lost], 1 << 40)
    world.run()
    failed = world.operation(operation)
    assert (failed.state, failed.error_reason) == (OperationState.FAILED, "DEPLOY_INCOMPLETE")
    assert "5 of 6" in failed.error_message
    assert deployments(world)[0].state is DeploymentState.GONE
    assert world.vectors.count(building.collection) == 0
    assert len(world.found("shop")) == 6


def test_images_that_the_new_model_cannot_embed_fail_the_deploy_by_name(world: World) -> None:
    fill(world, 4)
    (_, lost), *_ = images(world)
    world.unusable[lost] = "IMAGE_MISSING"
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other")
    world.run()
    failed = world.operation(operation)
    assert failed.error_reason == "DEPLOY_INCOMPLETE"
    assert f"{lost[:12]} (IMAGE_MISSING)" in failed.error_message
    assert len(world.found("shop")) == 4
    assert failed.counts.images_refused == 1


@pytest.mark.parametrize("moment", [EmbedShard, IndexShard, VerifyCollection])
def test_a_cancelled_deploy_leaves_nothing(world: World, moment: type) -> None:
    fill(world, 12)
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other")
    while not any(isinstance(each, moment) for each in world.queue.messages):
        some_work(world)
    with world.records.begin(write=True) as tx:
        tx.operations.cancel(operation, world.clock.now())
    world.run()
    assert world.operation(operation).state is OperationState.CANCELLED
    gone, live = deployments(world)
    assert (gone.state, live.state) == (DeploymentState.GONE, DeploymentState.LIVE)
    assert world.vectors.count(gone.collection) == 0
    fill(world, 1, start=20)
    assert len(world.found("shop")) == 13
    deploy(world, "other")  # nothing stands in its way
    world.run()
    assert deployments(world)[0].state is DeploymentState.LIVE


def test_a_late_write_does_not_bring_a_dropped_collection_back(world: World) -> None:
    fill(world, 4)
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other")
    writing = fill(world, 12, start=4, run=False)
    building = deployments(world)[0]
    late: list[IndexShard] = []
    while not world.operation(operation).state.done:
        held = [each for each in world.queue.messages if is_write(each, writing, building)]
        if held and not late:
            with world.records.begin(write=True) as tx:
                tx.operations.cancel(operation, world.clock.now())
        late += held
        world.queue.messages = [each for each in world.queue.messages if each not in held]
        some_work(world)
    assert late
    world.queue.messages += late
    world.run()
    assert deployments(world)[0].state is DeploymentState.GONE
    assert world.vectors.count(building.collection) == 0
    assert len(world.found("shop")) == 16


def test_the_switch_waits_until_every_live_query_worker_has_the_model(world: World) -> None:
    fill(world, 3)
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other")
    tell(world, "one", BASE.digest, OTHER.digest)
    tell(world, "two", BASE.digest)
    settle(world)
    waiting = world.operation(operation)
    assert waiting.result["step"] == "waiting for workers"
    assert deployments(world)[1].state is DeploymentState.LIVE
    tell(world, "one", BASE.digest, OTHER.digest)
    tell(world, "two", BASE.digest, OTHER.digest)
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED


def test_a_worker_that_never_loads_the_model_fails_the_deploy(world: World) -> None:
    fill(world, 3)
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other")
    for _ in range(200):
        tell(world, "poor", BASE.digest)
        settle(world)
        if world.operation(operation).state.done:
            break
        world.clock.move(10)
    failed = world.operation(operation)
    assert failed.error_reason == "WORKERS_NOT_READY"
    assert "poor" in failed.error_message


def test_an_old_collection_is_dropped_where_it_is_not_to_be_kept(world: World) -> None:
    fill(world, 3)
    old = deployments(world)[0]
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other", discard_old=True)
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    assert world.vectors.count(old.collection) == 0
    assert [each.state for each in deployments(world)] == ["live", "gone"]


def test_searches_are_compared_before_the_switch(world: World) -> None:
    fill(world, 3)
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other", compare_searches=2, compare_seconds=500)
    settle(world)
    with world.records.begin(write=True) as tx:
        assert tx.catalogs.deployment("shop").comparing == 2
        assert tx.operations.get(operation).result["step"] == "comparing"
        tx.deployments.note_comparison("shop", 2, 1, 1, 0.5)
        tx.deployments.note_comparison("shop", 2, 1, 0, 0.7)
    world.run()
    live = deployments(world)[0]
    assert live.comparison == {
        "searches": 2,
        "same_first": 0.5,
        "overlap_at_10": pytest.approx(0.6),
    }
    assert live.comparing == 0


def test_a_comparison_that_nobody_searches_for_ends_with_its_time(world: World) -> None:
    fill(world, 3)
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other", compare_searches=5, compare_seconds=30)
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED


def test_a_fit_to_too_few_images_says_how_many_it_needs(world: World) -> None:
    fill(world, 3)
    operation = begin_model(world, "white", kind="linear", of=Model.plain(BASE), dimension=0)
    world.run()
    failed = world.operation(operation)
    assert (failed.state, failed.error_reason) == (OperationState.FAILED, "TOO_FEW_EMBEDDINGS")


def test_a_pca_of_a_model_that_has_embedded_nothing_embeds_the_catalogue_first(
    world: World,
) -> None:
    fill(world, 20)
    world.embedded.clear()
    small = create_model(world, "small", kind="linear", of=Model.plain(OTHER), dimension=3)
    assert len(world.embedded) == 20
    assert isinstance(small.members[0].linear, LinearSpec)
    assert small.members[0].linear.output_dim == 3
    assert len(world.found("shop")) == 20  # the live deployment is as it was


def test_a_deleted_catalogue_ends_its_deploy(world: World) -> None:
    fill(world, 8)
    register(world, "other", Model.plain(OTHER))
    operation = deploy(world, "other")
    some_work(world)
    with world.records.begin(write=True) as tx:
        collections = [[each.collection, each.tenant] for each in tx.deployments.targets("shop")]
        revision = tx.catalogs.next_revision("shop")
        tx.catalogs.mark_deleting("shop")
        request = {"collections": collections}
        kind = OperationKind.DELETE_CATALOG
        tx.operations.create(kind, "shop", revision, request, world.clock.now())
    world.run()
    assert world.operation(operation).error_reason == "CATALOG_NOT_FOUND"
    assert len(collections) == 2
