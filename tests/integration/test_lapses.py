"""Shards that nobody reports: outages are waited for, and a shard that kills its workers fails."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.coordinator.lapses import KEEPS_FAILING
from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain.errors import Unavailable
from services.core.domain.operations import OperationKind, OperationState
from services.core.messages import EmbedShard, IndexShard, IngestManifest, IngestShard, Message
from tests.integration.import_world import World, row


def rows_of(world: World, count: int) -> list[dict[str, object]]:
    return [row(f"s{n}", world.image(f"i{n}")) for n in range(count)]


def embeds(world: World, label: str) -> Callable[[Message], bool]:
    """Whether a message is about embedding this image."""
    digest = world.image(label)
    return lambda message: isinstance(message, EmbedShard) and digest in message.sha256s


@pytest.mark.parametrize("count", [1, 3, 40])
def test_rows_of_a_shard_that_kills_every_worker_are_rejected_and_the_others_searchable(
    world: World, count: int
) -> None:
    world.deadly = embeds(world, "i0")
    operation = world.start_import("shop", rows_of(world, count))
    world.run()
    ended = world.operation(operation)
    lost = min(count, 4)  # rows of one shard
    assert ended.state is OperationState.SUCCEEDED
    assert (ended.counts.rows_accepted, ended.counts.rows_rejected) == (count - lost, lost)
    assert ended.counts.rejected_by_reason == {KEEPS_FAILING: lost}
    assert {sku for sku, _ in world.found("shop")} == {f"s{n}" for n in range(lost, count)}


def test_images_of_a_shard_that_kept_failing_are_tried_again_by_the_next_import(
    world: World,
) -> None:
    world.deadly = embeds(world, "i0")
    rows = rows_of(world, 2)
    world.start_import("shop", rows)
    world.run()
    world.deadly = lambda message: False
    again = world.start_import("shop", rows)
    world.run()
    assert world.operation(again).counts.rows_accepted == 2
    assert len(world.found("shop")) == 2


def test_rows_that_cannot_be_checked_without_killing_the_worker_are_rejected(world: World) -> None:
    world.deadly = lambda each: isinstance(each, IngestShard) and each.sequence == 1
    operation = world.start_import("shop", rows_of(world, 12))
    world.run()
    counts = world.operation(operation).counts
    assert (counts.rows_read, counts.rows_accepted, counts.rows_rejected) == (12, 8, 4)
    assert counts.rejected_by_reason == {KEEPS_FAILING: 4}


@pytest.mark.parametrize("kind", [IngestManifest, IngestShard, EmbedShard, IndexShard])
def test_an_outage_of_a_server_costs_no_row_however_long_it_takes(
    world: World, kind: type[Message]
) -> None:
    tries = []

    def away(message: Message) -> bool:
        tries.append(message.id)
        return isinstance(message, kind) and len(tries) < 100

    world.away = away
    operation = world.start_import("shop", rows_of(world, 6))
    world.run()
    ended = world.operation(operation)
    assert len(tries) >= 100
    assert ended.state is OperationState.SUCCEEDED
    assert (ended.counts.rows_accepted, ended.counts.rows_rejected) == (6, 0)
    assert len(world.found("shop")) == 6


@pytest.mark.parametrize("kind", [IngestManifest, IndexShard])
def test_an_operation_whose_manifest_or_plan_kills_every_worker_fails_with_the_reason(
    world: World, kind: type[Message]
) -> None:
    world.deadly = lambda each: isinstance(each, kind)
    operation = world.start_import("shop", rows_of(world, 2))
    world.run()
    ended = world.operation(operation)
    assert (ended.state, ended.error_reason) == (OperationState.FAILED, KEEPS_FAILING)
    assert "did not report within" in ended.error_message


def test_an_uploaded_image_that_kills_every_worker_is_refused(world: World) -> None:
    world.start_import("shop", rows_of(world, 1))
    world.run()
    world.deadly = embeds(world, "poison")
    digest = world.image("poison")
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.add_image("shop", "s0", digest, revision, world.clock.now())
    world.accept(OperationKind.CHANGE, "shop", {"products": ["s0"], "embed": [digest]})
    world.run()
    with world.records.begin() as tx:
        assert tx.products.get_image("shop", "s0", digest).refusal == KEEPS_FAILING


def test_an_outage_of_the_workers_of_many_leases_costs_no_row(world: World) -> None:
    operation = world.start_import("shop", rows_of(world, 20))
    world.coordinator.tick()
    for _ in range(12):
        if world.queue.messages:
            world.deliver_one()
    for _ in range(100):
        world.clock.move(61)
        world.coordinator.tick()
    world.run()
    ended = world.operation(operation)
    assert ended.state is OperationState.SUCCEEDED
    assert (ended.counts.rows_accepted, ended.counts.rows_rejected) == (20, 0)


def test_a_broker_that_loses_everything_for_hours_costs_no_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = world.start_import("shop", rows_of(world, 20))
    for _ in range(50):  # takes messages and forgets them
        world.clock.move(61)
        world.coordinator.tick()
        world.queue.messages.clear()
    with monkeypatch.context() as away:  # takes none
        away.setattr(world.queue, "publish", _refuse)
        for _ in range(50):
            world.clock.move(61)
            world.coordinator.tick()
    world.run()
    assert world.operation(operation).counts.rows_accepted == 20


def test_workers_killed_at_random_cost_no_row(tmp_path: Path, vectors: QdrantVectors) -> None:
    world = World(tmp_path, vectors, seed=5)
    world.create("shop")
    world.deadly = lambda message: world.random.random() < 0.2
    operation = world.start_import("shop", rows_of(world, 30))
    world.run()
    counts = world.operation(operation).counts
    assert counts.rows_read == counts.rows_accepted + counts.rows_rejected == 30
    assert counts.rows_rejected <= 4  # a shard that was killed four times in a row


def test_a_worker_that_says_it_has_started_gets_a_whole_lease(world: World) -> None:
    world.deadly = embeds(world, "i0")
    operation = world.start_import("shop", rows_of(world, 1))
    world.coordinator.tick()
    while world.queue.messages:
        world.deliver_one()
    world.clock.move(61)
    world.coordinator.tick()  # published again
    world.clock.move(50)
    while world.queue.messages:
        world.deliver_one()  # and started, late
    world.clock.move(50)
    world.coordinator.tick()
    assert not world.queue.messages
    world.clock.move(11)
    world.coordinator.tick()
    (again,) = world.queue.messages
    assert (again.operation, again.attempt) == (operation, 3)


def test_a_shard_that_is_stuck_keeps_no_other_operation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = world.start_import("shop", []), world.start_import("shop", rows_of(world, 2))
    step = world.coordinator._advance

    def broken(operation: str) -> None:
        if operation == first:
            raise KeyError("a bug")
        step(operation)

    monkeypatch.setattr(world.coordinator, "_advance", broken)
    world.coordinator.tick()
    assert [each.operation for each in world.queue.messages] == [second]


def _refuse(message: Message) -> None:
    raise Unavailable("the broker is away", reason="BROKER_UNAVAILABLE")
