"""Erasing among lost, late and repeated messages, restarts and imports that run beside it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain import keys
from services.core.domain.model import Model
from services.core.domain.operations import OperationKind, OperationState
from services.core.messages import EmbedShard, IndexShard
from services.core.shard_files import read_embeddings
from tests.integration.deploy_world import deploy, fill, register
from tests.integration.import_world import World, row, spec_of


@pytest.fixture(params=range(3))
def world(request: pytest.FixtureRequest, tmp_path: Path, vectors: QdrantVectors) -> World:
    world = World(tmp_path, vectors, seed=request.param)
    world.create("shop")
    return world


def erase(world: World, product: str, digest: str = "") -> str:
    """What the gateway does; returns the operation's id."""
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        found = tx.erasing.remains("shop", product, digest)
        now = world.clock.now()
        if digest:
            tx.products.delete_image("shop", product, digest, revision, now)
        else:
            tx.products.delete("shop", product, revision, now)
        request: dict[str, Any] = {
            "target": f"catalogs/shop/products/{product}",
            "product": product,
            "whole": not digest,
            "sku": found.sku,
            "sha256s": list(found.sha256s),
            "sources": list(found.sources),
            "images": found.live,
        }
        made = tx.operations.create(OperationKind.ERASE_CONTENT, "shop", revision, request, now)
    return made.id


def embedded(world: World) -> list[str]:
    """Hashes of all rows of all embedding files, with repetitions."""
    return [
        each
        for key in world.objects.keys("embeddings/")
        for each in read_embeddings(world.objects.get(key)).sha256s
    ]


def stored(world: World, digest: str) -> bool:
    return world.objects.size(keys.image_key(digest)) is not None


def test_lost_and_repeated_messages_and_restarts_end_erased(world: World) -> None:
    images = [world.image(f"i{n}") for n in range(12)]
    world.start_import("shop", [row(f"p{n}", images[n], images[n + 1]) for n in range(11)])
    world.run()
    erased = [erase(world, f"p{n}") for n in (0, 1, 2, 6)]
    for _ in range(4):
        world.start_coordinator()
        world.coordinator.recover()
        world.coordinator.tick()
    world.run(loss=0.3, repetition=0.3)
    # Of p0 to p2 the pictures 0 to 2 are nobody's now; 3 is p3's, 6 and 7 are p5's and p7's.
    gone, left = images[:3], images[3:]
    assert sorted(set(embedded(world))) == sorted(left)
    assert [stored(world, each) for each in gone] == [False] * 3
    assert all(stored(world, each) for each in left)
    assert {sku for sku, _ in world.found("shop")} == {f"p{n}" for n in (3, 4, 5, 7, 8, 9, 10)}
    results = [world.operation(each) for each in erased]
    assert {each.state for each in results} == {OperationState.SUCCEEDED}
    assert "erasing" not in results[0].result
    assert results[0].request.keys() == {"product", "target"}


def test_an_erasure_reaches_every_model_and_every_collection(world: World) -> None:
    fill(world, 3)
    left = world.image("left")
    register(world, "other", Model.plain(spec_of("other")))
    deploy(world, "other")
    world.start_import("shop", [row("left", left)])
    erase(world, "sku-1")
    world.run(loss=0.2, repetition=0.2)
    lost = world.image("picture 1")
    assert embedded(world).count(left) == 2  # by both
    assert lost not in embedded(world)
    for number in (1, 2):
        assert {sku for sku, _ in world.found("shop", number)} == {"sku-0", "sku-2", "left"}


def deliver(world: World, kind: type[Any]) -> None:
    """Delivers messages until one of a kind is published, and keeps that one."""
    for _ in range(500):
        if any(isinstance(each, kind) for each in world.queue.messages):
            return
        world.deliver_one()
    raise AssertionError(f"no {kind.__name__} was published")


def test_an_old_plan_still_finds_its_file_while_another_image_is_erased(world: World) -> None:
    first, second = world.image("first"), world.image("second")
    world.start_import("shop", [row("a", first), row("b", second)])
    world.coordinator.tick()
    deliver(world, IndexShard)
    (held,) = [each for each in world.queue.messages if isinstance(each, IndexShard)]
    world.queue.messages.remove(held)
    operation = erase(world, "a")
    world.coordinator.tick()
    for _ in range(50):
        if world.queue.messages:
            world.deliver_one()
    world.coordinator.tick()
    assert not world.operation(operation).state.done  # the held plan reads the old file
    assert not stored(world, first)
    world.queue.publish(held)
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    assert embedded(world) == [second]
    assert {sku for sku, _ in world.found("shop")} == {"b"}


def test_an_embedding_that_comes_late_is_erased_too(world: World) -> None:
    digest, other = world.image("late"), world.image("other")
    world.start_import("shop", [row("a", digest), row("b", other)])
    world.coordinator.tick()
    deliver(world, EmbedShard)
    messages = world.queue.messages
    (held,) = [each for each in messages if isinstance(each, EmbedShard)]
    messages.remove(held)
    operation = erase(world, "a")
    world.coordinator.tick()
    for _ in range(50):
        if world.queue.messages:
            world.deliver_one()
    world.coordinator.tick()
    assert not world.operation(operation).state.done
    assert not stored(world, digest)
    world.queue.publish(held)  # its worker had read the picture before
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    assert digest in world.embedded
    assert embedded(world) == [other]
    assert {sku for sku, _ in world.found("shop")} == {"b"}


def test_an_erasure_goes_on_when_its_catalogue_is_deleted(world: World) -> None:
    digest = world.image("orphan")
    world.start_import("shop", [row("a", digest)])
    world.run()
    operation = erase(world, "a")
    with world.records.begin(write=True) as tx:
        collection = tx.catalogs.deployment("shop").collection
        revision = tx.catalogs.next_revision("shop")
        tx.catalogs.mark_deleting("shop")
        request = {"collections": [[collection, ""]]}
        kind = OperationKind.DELETE_CATALOG
        tx.operations.create(kind, "shop", revision, request, world.clock.now())
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    assert (embedded(world), stored(world, digest)) == ([], False)
    assert world.vectors.count(collection) == 0


def test_a_picture_that_is_imported_again_meanwhile_stays(world: World) -> None:
    digest = world.image("wanted")
    world.start_import("shop", [row("a", digest)])
    world.run()
    operation = erase(world, "a")
    world.start_import("shop", [row("b", digest)])
    while not world.operation(operation).state.done:
        world.coordinator.tick()
        if world.queue.messages:
            world.deliver_one()
    world.run()
    shown = {sku for sku, _ in world.found("shop")}
    # Whoever was first: the picture is stored and found, or its row says that it is missing.
    assert shown <= {"b"}
    assert stored(world, digest) is bool(shown)
    assert (digest in embedded(world)) is bool(shown)


def test_a_lost_embeddings_file_does_not_stop_an_erasure(world: World) -> None:
    first, second = world.image("1"), world.image("2")
    world.start_import("shop", [row("a", first), row("b", second)])
    world.run()
    for key in list(world.objects.keys("embeddings/")):
        world.objects.delete(key)
    operation = erase(world, "a")
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    world.start_import("shop", [row("b", second, title="again")])
    world.run()
    assert embedded(world) == [second]


def test_a_product_of_many_images_is_erased_from_every_file(world: World) -> None:
    images = [world.image(f"many {n}") for n in range(40)]
    other = world.image("another product's")
    rows = [row("many", *images[n : n + 3]) for n in range(0, 40, 3)]
    world.start_import("shop", [*rows, row("other", other, images[20])])
    world.run()
    operation = erase(world, "many")
    world.run()
    result = world.operation(operation).result
    assert (result["image_count"], result["shared_count"]) == (40, 1)
    assert result["object_count"] == 2 * 39
    assert sorted(embedded(world)) == sorted([other, images[20]])
    assert [stored(world, each) for each in images] == [n == 20 for n in range(40)]
    assert set(world.found("shop")) == {("other", other), ("other", images[20])}


class Killed(BaseException):
    """The process is gone."""


class MortalObjects(FileObjects):
    """Kills its process at one of its writes or deletes, before or after the deed."""

    def __init__(self, root: Path, after: int) -> None:
        super().__init__(root)
        self.left = after

    def put(self, key: str, data: bytes) -> None:
        self._live()
        super().put(key, data)
        self._live()

    def put_stream(self, key: str, chunks: Iterable[bytes]) -> int:
        self._live()
        length = super().put_stream(key, chunks)
        self._live()
        return length

    def delete(self, key: str) -> None:
        self._live()
        super().delete(key)
        self._live()

    def _live(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def test_a_kill_at_any_write_or_delete_ends_with_the_same_counts(
    tmp_path: Path, vectors: QdrantVectors
) -> None:
    moments = 0
    for moment in range(1, 100):
        root = tmp_path / str(moment)
        world = World(root, vectors, seed=moment)
        world.create("shop")
        gone, shared, other = (world.image(f"{moment} {each}") for each in "abc")
        report = {"source": "gone.jpg", "error": "IMAGE_NOT_FOUND"}
        rows = [row("a", gone, shared), row("b", shared, other), row("bad")]
        rows[0]["images"].append(report)
        imported = world.start_import("shop", rows)
        world.run()
        plain = world.objects
        mortal = MortalObjects(root / "objects", moment)
        world.objects = mortal
        world.start_coordinator()
        operation = erase(world, "a")
        try:
            world.run()
        except Killed:
            moments += 1
        world.objects = plain
        world.start_coordinator()
        world.coordinator.recover()
        world.run()
        ended = world.operation(operation)
        assert ended.state is OperationState.SUCCEEDED
        counts = [ended.result[each] for each in ("image_count", "object_count", "shared_count")]
        assert counts == [2, 2, 1], f"killed at {moment}"
        assert set(embedded(world)) == {shared, other}
        assert [stored(world, each) for each in (gone, shared, other)] == [False, True, True]
        assert {sku for sku, _ in world.found("shop")} == {"b"}
        lines = plain.get(keys.report_key(imported)).decode().splitlines()
        assert [line.split(",")[1] for line in lines] == ["sku", "(erased)", "bad"]
        if mortal.left > 0:
            break
    assert moments > 8
