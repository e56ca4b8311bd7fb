"""Two coordinators over the same records, which both get every report at once: the end is that of
one coordinator."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from services.coordinator.handlers import Coordinator
from services.coordinator.settings import CoordinatorLimits
from services.coordinator.tasks import handlers as coordinator_handlers
from services.core.adapters.file_objects import FileObjects
from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.adapters.sql_records import SqlRecords, open_postgres, open_sqlite
from services.core.domain import keys
from services.core.domain.operations import ImportCounts, OperationKind, OperationState
from services.core.messages import OperationAccepted, Report
from services.core.ports import VectorStore
from services.core.record_ports import RecordStore
from tests.integration.import_world import World, row

STORES = ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)]
Open = Callable[[Path], SqlRecords]


class Both:
    """Two coordinators that are told everything at the same time."""

    def __init__(self, each: list[Coordinator]) -> None:
        self.each = each
        self._pool = ThreadPoolExecutor(len(each))

    def tick(self) -> None:
        self._all(lambda one: one.tick())

    def report(self, report: Report) -> None:
        self._all(lambda one: one.report(report))

    def accepted(self, message: OperationAccepted) -> None:
        self._all(lambda one: one.accepted(message))

    def _all(self, call: Callable[[Coordinator], None]) -> None:
        for done in [self._pool.submit(call, one) for one in self.each]:
            done.result(60)


class SharedWorld(World):
    """A world whose coordinators have connections of their own to the records."""

    def __init__(self, root: Path, vectors: VectorStore, seed: int, open_records: Open) -> None:
        self._stores = [open_records(root) for _ in range(3)]
        super().__init__(root, vectors, seed)
        self.create("shop")

    def open_records(self, root: Path) -> RecordStore:
        return self._stores[0]

    def start_coordinator(self) -> None:
        limits = CoordinatorLimits(window=4, lease=60, sweep=3)
        self.both = Both(
            [
                Coordinator(store, self.objects, self.queue, self.clock, limits)
                for store in self._stores[1:]
            ]
        )
        self.coordinator: Any = self.both
        self._control = {Report: self.both.report, OperationAccepted: self.both.accepted}

    def close(self) -> None:
        for store in self._stores:
            store.close()


@pytest.fixture(params=STORES)
def shared(
    request: pytest.FixtureRequest, tmp_path: Path, vectors: QdrantVectors
) -> Iterator[Callable[[int], SharedWorld]]:
    """Makes a world from a seed."""
    worlds: list[SharedWorld] = []

    def opener() -> Open:
        if request.param == "sqlite":
            return lambda root: open_sqlite(root / "records.db")
        url = request.getfixturevalue("postgres").database()
        return lambda root: open_postgres(url)

    def make(seed: int) -> SharedWorld:
        worlds.append(SharedWorld(tmp_path / "shared", vectors, seed, opener()))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


def feed(world: World) -> list[dict[str, Any]]:
    """40 rows: images of several products, broken ones, a missing one, an unreadable row."""
    digests = [world.image(f"image {n}") for n in range(38)]
    world.unusable = dict.fromkeys(digests[5::7], "IMAGE_UNDECODABLE")
    rows = [row(f"sku-{n // 2}", digest, price=n) for n, digest in enumerate(digests)]
    rows += [row("lost", "0" * 64), {"problem": {"reason": "ROW_MALFORMED", "field": "row"}}]
    return rows


def said(counts: ImportCounts) -> dict[str, Any]:
    return counts.to_json()


def report_of(world: World, operation: str) -> Iterable[str]:
    return sorted(world.objects.get(keys.report_key(operation)).decode().splitlines())


@pytest.mark.parametrize("seed", range(3))
def test_two_coordinators_end_an_import_as_one_does(
    shared: Callable[[int], SharedWorld], tmp_path: Path, vectors: QdrantVectors, seed: int
) -> None:
    alone = World(tmp_path / "alone", vectors, seed)
    alone.create("shop")
    expected = alone.start_import("shop", feed(alone))
    alone.run()

    world = shared(seed)
    operation = world.start_import("shop", feed(world))
    world.run(loss=0.1, repetition=0.3)

    ended = world.operation(operation)
    assert ended.state is OperationState.SUCCEEDED
    assert said(ended.counts) == said(alone.operation(expected).counts)
    assert ended.total_rows == 40
    assert "finishing" not in ended.result
    assert world.found("shop").keys() == alone.found("shop").keys()
    assert report_of(world, operation) == report_of(alone, expected)
    working = list(world.objects.keys(keys.working_prefix(operation)))
    assert working == []


def test_two_coordinators_publish_every_shard_of_a_stage_once_where_nothing_is_lost(
    shared: Callable[[int], SharedWorld],
) -> None:
    world = shared(7)
    published: list[str] = []
    publish = world.queue.publish

    def note(message: Any) -> None:
        if not isinstance(message, Report):
            published.append(message.id)
        publish(message)

    world.queue.publish = note  # type: ignore[method-assign]
    world.start_import("shop", feed(world))
    world.run()
    assert sorted(published) == sorted(set(published))


def test_changes_deletions_and_imports_at_once_leave_what_the_records_say(
    shared: Callable[[int], SharedWorld],
) -> None:
    world = shared(3)
    world.start_import("shop", feed(world))
    world.run(repetition=0.2)
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.delete("shop", "sku-0", revision, world.clock.now())
    world.accept(OperationKind.CHANGE, "shop", {"products": ["sku-0"], "embed": []})
    world.start_import("shop", [row("sku-1", world.image("new one"))])
    world.run(loss=0.1, repetition=0.3)
    with world.records.begin() as tx:
        products = [each.id for each in tx.products.page("shop", "", 100)]
        live = {
            (product, image.sha256)
            for product in products
            for image in tx.products.page_images("shop", product, "", 100)
            if image.state == "searchable"
        }
    assert "sku-0" not in products
    assert {(sku, sha) for sku, sha in world.found("shop") if sku == "sku-1"} == {
        ("sku-1", world.image("new one"))
    }
    assert set(world.found("shop")) == live


def test_two_coordinators_remove_a_catalogue_together(
    shared: Callable[[int], SharedWorld],
) -> None:
    world = shared(4)
    world.start_import("shop", feed(world))
    world.run()
    with world.records.begin(write=True) as tx:
        collection = tx.catalogs.deployment("shop").collection
    operation = world.accept(
        OperationKind.DELETE_CATALOG, "shop", {"collections": [[collection, ""]]}
    )
    with world.records.begin(write=True) as tx:
        tx.catalogs.mark_deleting("shop")
    world.run(repetition=0.3)
    assert world.operation(operation).state is OperationState.SUCCEEDED
    world.create("shop")
    with world.records.begin() as tx:
        assert tx.catalogs.get("shop").product_count == 0


class Overtaken(FileObjects):
    """While a report is written, something else happens first."""

    def __init__(self, root: Path, meanwhile: Callable[[], None]) -> None:
        super().__init__(root)
        self._meanwhile = meanwhile

    def put_stream(self, key: str, chunks: Any) -> Any:
        self._meanwhile()
        return super().put_stream(key, chunks)


@pytest.mark.parametrize("late", [False, True])
def test_a_coordinator_that_is_slow_to_end_an_import_is_overtaken_only_after_a_while(
    shared: Callable[[int], SharedWorld], tmp_path: Path, late: bool
) -> None:
    world = shared(1)
    operation = world.start_import("shop", [{"not": "a row"}])
    first, second = world.both.each
    ended_by_second: list[bool] = []

    def meanwhile() -> None:
        if late:
            world.clock.move(61)
        second.tick()
        ended_by_second.append(world.operation(operation).state.done)

    first._objects = Overtaken(tmp_path / "shared" / "objects", meanwhile)
    world.coordinator = first
    world._control = coordinator_handlers(first)
    world.run()
    ended = world.operation(operation)
    assert ended_by_second[0] is late
    assert ended.state is OperationState.SUCCEEDED
    assert ended.counts.rejected_by_reason == {"ROW_UNREADABLE": 1}
    assert len(list(report_of(world, operation))) == 2


def test_the_end_of_an_operation_whose_coordinator_died_is_taken_over(
    shared: Callable[[int], SharedWorld], tmp_path: Path
) -> None:
    world = shared(2)
    operation = world.start_import("shop", [{"not": "a row"}])
    first, second = world.both.each

    def die() -> None:
        raise KeyboardInterrupt

    first._objects = Overtaken(tmp_path / "shared" / "objects", die)
    world.coordinator = first
    world._control = coordinator_handlers(first)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    second.tick()
    assert not world.operation(operation).state.done  # the first might still be at it
    world.clock.move(61)
    second.tick()
    assert world.operation(operation).state is OperationState.SUCCEEDED


def test_rows_with_texts_and_numbers_that_databases_refuse_end_like_all_others(
    shared: Callable[[int], SharedWorld],
) -> None:
    world = shared(6)
    image = world.image("x")
    nul, alone = "a\0b", "a\ud800b"
    rows = [
        {"row": (1 << 62) - 1, **row("number", image)},
        row("texts", image, title=nul, description=nul, labels=[nul], attributes={nul: nul}),
        row(f"sku{nul}", image, parent=nul, categories=[nul]),
        {"fields": {"sku": "source"}, "images": [{"source": nul + alone, "sha256": image}]},
        row("surrogate", image, title=alone),
        {"fields": {"sku": nul}, "images": [{"source": nul + alone, "error": "IMAGE_BAD"}]},
        {"fields": {"sku": nul}, "problem": {"reason": "ROW_BAD", "field": nul, "value": alone}},
    ]
    operation = world.start_import("shop", rows)
    world.run()
    counts = world.operation(operation).counts
    assert (counts.rows_accepted, counts.rows_rejected) == (4, 3)
    assert {sku for sku, _ in world.found("shop")} == {"number", "texts", "skuab", "source"}
