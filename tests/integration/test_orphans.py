"""Leftovers in the object store: what is removed, and above all what is not."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.coordinator.orphans import Orphans
from services.coordinator.settings import CoordinatorLimits
from services.core.adapters.file_objects import FileObjects
from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain import keys, names
from services.core.domain.errors import Unavailable
from services.core.domain.operations import OperationKind, OperationState
from services.core.messages import IndexShard
from tests.integration.import_world import World, row

LIMITS = CoordinatorLimits(orphan_keys=3)
DAY = 86_400.0
DIGEST = "d" * 64


def world_at(root: Path, vectors: QdrantVectors, days: float, seed: int = 0) -> World:
    """A world whose clock is this many days ahead of the one that ids are made by."""
    world = World(root, vectors, seed=seed)
    world.clock.move((datetime.now(UTC) - world.clock.now()).total_seconds() + days * DAY)
    world.create("shop")
    return world


@pytest.fixture
def later(tmp_path: Path, vectors: QdrantVectors) -> World:
    """In which every id was made longer ago than the grace time."""
    return world_at(tmp_path, vectors, 8)


@pytest.fixture
def today(tmp_path: Path, vectors: QdrantVectors) -> World:
    """In which every id was made just now."""
    return world_at(tmp_path, vectors, 0)


def sweep(world: World, objects: FileObjects | None = None) -> None:
    """A whole sweep, slice by slice."""
    orphans = Orphans(world.records, objects or world.objects, LIMITS)
    now = world.clock.now()
    for _ in range(len(list(world.objects.keys(""))) // LIMITS.orphan_keys + 2):
        orphans.sweep(now)


def everything(world: World) -> set[str]:
    return set(world.objects.keys(""))


def imported(world: World, *contents: str) -> str:
    """An import that has ended, one product for each image; returns the operation's id."""
    rows = [row(f"p-{each}", world.image(each)) for each in contents]
    operation = world.start_import("shop", [*rows, row("bad", "0" * 64)])
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    return operation


def erase(world: World, product: str, digest: str) -> str:
    """Erases a product with one image; returns the operation's id."""
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.delete("shop", product, revision, world.clock.now())
    request: dict[str, Any] = {"target": "", "product": product, "whole": True, "sku": product}
    request |= {"sha256s": [digest], "sources": [], "images": 1}
    return world.accept(OperationKind.ERASE_CONTENT, "shop", request)


def test_what_an_ended_import_left_is_removed_and_nothing_else(later: World) -> None:
    operation = imported(later, "a", "b")
    kept = everything(later)
    assert any(key.startswith("embeddings/") for key in kept)
    assert keys.report_key(operation) in kept
    later.objects.put(keys.accepted_key(operation, 0), b"late")
    later.objects.put(keys.plan_key(operation, 7, 1), b"late")
    later.objects.put(keys.embeddings_key(DIGEST, operation, 9), b"late")
    sweep(later)
    assert everything(later) == kept
    assert len(later.found("shop")) == 2


def test_the_coordinator_sweeps_with_its_tick(later: World) -> None:
    operation = imported(later, "a")
    later.objects.put(keys.accepted_key(operation, 0), b"late")
    later.coordinator.tick()
    assert keys.accepted_key(operation, 0) in everything(later)  # not so soon after the first
    later.clock.move(DAY)
    later.coordinator.tick()
    assert keys.accepted_key(operation, 0) not in everything(later)


@pytest.mark.parametrize("seed", range(5))
def test_sweeps_at_every_step_change_no_import(
    tmp_path: Path, vectors: QdrantVectors, seed: int
) -> None:
    world = world_at(tmp_path, vectors, 8, seed)
    images = [world.image(f"i{n}") for n in range(12)]
    operation = world.start_import("shop", [row(f"p{n}", images[n]) for n in range(12)])
    world.coordinator.tick()
    for _ in range(400):
        sweep(world)
        if world.operation(operation).state.done:
            break
        if world.queue.messages:
            world.deliver_one(keep=world.random.random() < 0.2)
        else:
            world.clock.move(61)
            world.coordinator.tick()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    assert world.operation(operation).counts.rows_rejected == 0
    assert len(world.found("shop")) == 12
    assert [key for key in everything(world) if key.startswith(("working/", "manifests/"))] == []


def test_an_upload_under_way_is_not_removed(today: World) -> None:
    key = keys.manifest_key("shop", names.new_id())
    digest = today.image("a")
    line = b'{"row": 1, "fields": {"sku": "p"}, "images": [{"sha256": "' + digest.encode() + b'"}]}'

    def chunks() -> Iterator[bytes]:
        yield line[:20]
        sweep(today)
        yield line[20:]

    today.objects.put_stream(key, chunks())
    sweep(today)
    assert today.objects.get(key) == line
    operation = today.accept(OperationKind.IMPORT, "shop", {"manifest": key})
    today.run()
    assert today.operation(operation).counts.rows_rejected == 0
    assert len(today.found("shop")) == 1


def test_uploaded_weights_go_after_the_grace_time_unless_a_model_is_being_made_of_them(
    later: World,
) -> None:
    left, used = (keys.uploaded_weights_key(names.new_id()) for _ in range(2))
    for key in (left, used):
        later.objects.put(key, b"weights")
    with later.records.begin(write=True) as tx:
        request = {"model": "m", "kind": "embedder", "recipe": "{}", "weights": used}
        kind, now = OperationKind.CREATE_MODEL, later.clock.now()
        operation = tx.operations.create(kind, "", 0, request, now).id
    sweep(later)
    assert (left in everything(later), used in everything(later)) == (False, True)
    with later.records.begin(write=True) as tx:
        tx.operations.cancel(operation, later.clock.now())
    later.run()
    sweep(later)
    assert used not in everything(later)


def test_a_manifest_that_nobody_imports_goes_after_the_grace_time(today: World) -> None:
    key = keys.manifest_key("shop", names.new_id())
    today.objects.put(key, b"{}")
    today.clock.move(6.9 * DAY)
    sweep(today)
    assert key in everything(today)
    today.clock.move(0.2 * DAY)
    sweep(today)
    assert key not in everything(today)


def test_a_manifest_that_an_active_import_names_stays_however_old(later: World) -> None:
    key = keys.manifest_key("shop", names.new_id())
    later.objects.put(key, b"{}")
    later.accept(OperationKind.IMPORT, "shop", {"manifest": key})
    sweep(later)
    assert key in everything(later)
    later.run()
    assert key not in everything(later)


def test_what_unknown_operations_left_goes_after_the_grace_time(today: World) -> None:
    unknown = names.new_id()
    left = {
        keys.accepted_key(unknown, 0),
        keys.report_key(unknown),
        keys.embeddings_key(DIGEST, unknown, 0),
    }
    for key in left:
        today.objects.put(key, b"x")
    sweep(today)
    assert everything(today) == left
    today.clock.move(8 * DAY)
    sweep(today)
    assert everything(today) == set()


def test_the_report_of_a_deleted_operation_goes(later: World) -> None:
    operation, other = imported(later, "a"), imported(later, "b")
    with later.records.begin(write=True) as tx:
        tx.operations.delete(operation)  # killed before it could remove the report
    sweep(later)
    assert keys.report_key(operation) not in everything(later)
    assert keys.report_key(other) in everything(later)
    assert len(later.found("shop")) == 2  # its embeddings are still in use
    assert later.start_import("shop", [row("again", later.image("a"))])
    later.run()
    assert later.embedded.count(later.image("a")) == 1


def test_pictures_that_no_product_shows_yet_stay(later: World) -> None:
    digest = later.image("uploaded ahead of its import")
    sweep(later)
    assert later.objects.size(keys.image_key(digest)) is not None


def test_what_somebody_else_put_there_stays(later: World) -> None:
    others = {"incoming/a.jpg", "manifests/shop/by-hand", "notes", "working/by-hand/x", "working/y"}
    others |= {"embeddings/x", "reports/by-hand/rejected.csv", "urls/sha256/aa/bb/x.json"}
    others |= {"datasets/x", "datasets/y/by-hand/z", "evaluations/by-hand/x", "feedback/x/y"}
    for key in others:
        later.objects.put(key, b"x")
    sweep(later)
    assert everything(later) == others


def test_a_tick_looks_at_one_slice(later: World) -> None:
    operation = imported(later, "a")
    for sequence in range(10):
        later.objects.put(keys.accepted_key(operation, sequence), b"late")
    before = len(everything(later))
    orphans = Orphans(later.records, later.objects, LIMITS)
    orphans.sweep(later.clock.now())
    assert len(everything(later)) == before - LIMITS.orphan_keys


def test_an_old_plan_still_finds_its_file_while_an_erasure_waits(later: World) -> None:
    first, second = later.image("first"), later.image("second")
    later.start_import("shop", [row("a", first), row("b", second)])
    later.run()
    (old,) = (key for key in everything(later) if key.startswith("embeddings/"))
    later.create("other")
    later.start_import("other", [row("c", second)])  # whose plan reads that file too
    later.coordinator.tick()
    while not any(isinstance(each, IndexShard) for each in later.queue.messages):
        later.deliver_one()
    held = list(later.queue.messages)
    later.queue.messages.clear()
    erasure = erase(later, "a", first)
    later.coordinator.tick()
    while later.queue.messages:
        later.deliver_one()
    later.coordinator.tick()
    assert later.objects.size(keys.image_key(first)) is None  # the file has been written anew
    sweep(later)
    assert old in everything(later)
    later.queue.messages.extend(held)
    later.run()
    assert later.operation(erasure).state is OperationState.SUCCEEDED
    assert old not in everything(later)
    assert {sku for sku, _ in later.found("other")} == {"c"}


class FailingObjects(FileObjects):
    """Files of a disk that fails at every second deletion."""

    deletions = 0

    def delete(self, key: str) -> None:
        self.deletions += 1
        if self.deletions % 2:
            raise Unavailable("the disk is away", reason="STORAGE_UNAVAILABLE")
        super().delete(key)


def test_a_sweep_that_breaks_off_is_begun_again(later: World, tmp_path: Path) -> None:
    operation = imported(later, "a")
    kept = everything(later)
    for sequence in range(4):
        later.objects.put(keys.accepted_key(operation, sequence), b"late")
    failing = FailingObjects(tmp_path / "objects")
    sweep(later, failing)
    assert kept < everything(later)  # the failure ended it
    for _ in range(10):
        sweep(later, failing)
    assert everything(later) == kept


def test_coordinators_that_sweep_at_once_remove_the_same(later: World) -> None:
    operation = imported(later, "a", "b")
    kept = everything(later)
    for sequence in range(60):
        later.objects.put(keys.accepted_key(operation, sequence), b"late")
        later.objects.put(keys.embeddings_key(DIGEST, operation, 1_000 + sequence), b"late")
    threads = [threading.Thread(target=sweep, args=(later,)) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert everything(later) == kept
