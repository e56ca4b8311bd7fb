"""Users' photos that are kept with feedback: when they go, and what takes them along."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from services.coordinator.feedback_photos import expire_photos
from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain import keys
from services.core.domain.operations import OperationKind, OperationState
from services.core.evaluation_ports import Feedback
from tests.contract.record_stores import sha
from tests.contract.test_record_store_feedback import feedback
from tests.integration.import_world import World, row
from tests.integration.test_erasing import erase


@pytest.fixture
def world(tmp_path: Path, vectors: QdrantVectors) -> World:
    world = World(tmp_path, vectors)
    for catalog in ("shop", "beside"):
        world.create(catalog)
    return world


def keep(world: World, label: str, days: float, catalog: str = "shop") -> Feedback:
    """What the gateway does with feedback whose photo is kept for so many days."""
    expiry = world.clock.now() + timedelta(days=days)
    made = feedback(label, catalog=catalog, expire_time=expiry)
    world.objects.put(keys.feedback_photo_key(catalog, made.photo), label.encode())
    with world.records.begin(write=True) as tx:
        tx.feedback.add(made)
    return made


def photos(world: World) -> set[str]:
    """catalogue/label of all that are kept."""
    stored = world.objects.keys("feedback/")
    return {f"{key.split('/')[1]}/{world.objects.get(key).decode()}" for key in stored}


def expiry(world: World, made: Feedback) -> object:
    with world.records.begin() as tx:
        return tx.feedback.get(made.catalog, made.id).expire_time


def test_a_photo_goes_with_the_first_tick_after_its_time(world: World) -> None:
    first, second = keep(world, "a", 1), keep(world, "b", 2)
    world.coordinator.tick()
    assert photos(world) == {"shop/a", "shop/b"}
    world.clock.move(86_400)
    world.coordinator.tick()
    assert photos(world) == {"shop/b"}
    assert expiry(world, first) is None
    assert expiry(world, second) == second.expire_time
    with world.records.begin() as tx:
        assert len(tx.feedback.page("shop", "", 9)) == 2  # what was said stays


def test_a_photo_stays_while_other_feedback_of_the_catalogue_needs_it(world: World) -> None:
    keep(world, "a", 1)
    keep(world, "a", 1, "beside")
    longer = keep(world, "a", 2)
    world.clock.move(86_400)
    world.coordinator.tick()
    assert photos(world) == {"shop/a"}
    world.clock.move(86_400)
    world.coordinator.tick()
    assert photos(world) == set()
    assert expiry(world, longer) is None


def test_photos_go_at_once_where_a_catalogue_stops_keeping_them(world: World) -> None:
    keep(world, "a", 30)
    keep(world, "a", 30, "beside")
    with world.records.begin(write=True) as tx:
        tx.catalogs.keep_photos("shop", 0, world.clock.now())
    world.coordinator.tick()
    assert photos(world) == {"beside/a"}


def test_no_more_than_a_page_goes_at_a_time(world: World) -> None:
    for n in range(150):
        keep(world, f"{n}", 1)
    now = world.clock.now() + timedelta(days=2)
    expire_photos(world.records, world.objects, now)
    assert len(photos(world)) == 50
    expire_photos(world.records, world.objects, now)
    assert photos(world) == set()


def test_coordinators_that_remove_at_once_remove_the_same(world: World) -> None:
    for n in range(20):
        keep(world, f"{n}", 1 + n % 2)
    now = world.clock.now() + timedelta(days=1.5)
    work = (world.records, world.objects, now)
    threads = [threading.Thread(target=expire_photos, args=work) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert photos(world) == {f"shop/{n}" for n in range(1, 20, 2)}


def test_photos_and_feedback_go_with_their_catalogue(world: World) -> None:
    keep(world, "a", 30)
    left = keep(world, "a", 30, "beside")
    with world.records.begin(write=True) as tx:
        collection = tx.catalogs.deployment("shop").collection
        revision = tx.catalogs.next_revision("shop")
        tx.catalogs.mark_deleting("shop")
        request = {"collections": [{"collection": collection, "tenant": ""}]}
        kind, now = OperationKind.DELETE_CATALOG, world.clock.now()
        operation = tx.operations.create(kind, "shop", revision, request, now).id
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    assert photos(world) == {"beside/a"}
    with world.records.begin() as tx:
        assert tx.feedback.page("shop", "", 9) == []
        assert tx.feedback.page("beside", "", 9) == [left]


def test_an_erasure_takes_the_same_photo_out_of_all_feedback(world: World) -> None:
    made = world.image("a")
    assert made == sha("a")
    world.start_import("shop", [row("p", made)])
    world.run()
    kept = [keep(world, "a", 30), keep(world, "b", 30), keep(world, "a", 30, "beside")]
    operation = erase(world, "p")
    world.run()
    assert world.operation(operation).state is OperationState.SUCCEEDED
    assert photos(world) == {"shop/b"}
    assert [expiry(world, each) for each in kept] == [None, kept[1].expire_time, None]
    assert world.objects.size(keys.image_key(made)) is None


def test_a_photo_of_an_image_that_others_show_stays_with_its_feedback(world: World) -> None:
    made = world.image("a")
    world.start_import("shop", [row("p", made), row("q", made)])
    world.run()
    keep(world, "a", 30)
    erase(world, "p")
    world.run()
    assert photos(world) == {"shop/a"}
