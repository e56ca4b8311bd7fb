"""Small catalogues share a collection; one that grows beyond the limit gets its own."""

from pathlib import Path

import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.deployment_ports import Deployment
from services.core.domain.operations import OperationKind
from tests.integration.import_world import World, row


class SharingWorld(World):
    """Every catalogue shares."""

    def create(self, catalog: str) -> None:
        with self.records.begin(write=True) as tx:
            tx.catalogs.create(catalog, "", "base", self.clock.now(), shared=True)

    def live(self, catalog: str) -> Deployment:
        with self.records.begin() as tx:
            return tx.catalogs.deployment(catalog)

    def count(self, catalog: str) -> int:
        live = self.live(catalog)
        return self.vectors.count(live.collection, live.tenant or None)

    def sell(self, catalog: str, count: int) -> None:
        rows = [row(f"{catalog}-{n}", self.image(f"{n}")) for n in range(count)]
        self.start_import(catalog, rows)
        self.run()


@pytest.fixture
def sharing(tmp_path: Path, vectors: QdrantVectors) -> SharingWorld:
    return SharingWorld(tmp_path, vectors, shared_images=20)


def test_catalogues_of_a_model_share_a_collection_and_keep_apart(sharing: SharingWorld) -> None:
    for catalog, size in (("one", 3), ("two", 5)):
        sharing.create(catalog)
        sharing.sell(catalog, size)
    one, two = sharing.live("one"), sharing.live("two")
    assert one.collection == two.collection
    assert one.tenant != two.tenant
    assert (sharing.count("one"), sharing.count("two")) == (3, 5)
    assert {sku for sku, _ in sharing.found("two")} == {f"two-{n}" for n in range(5)}


def test_deleting_one_leaves_the_others(sharing: SharingWorld) -> None:
    for catalog in ("one", "two"):
        sharing.create(catalog)
        sharing.sell(catalog, 4)
    gone = sharing.live("one")
    remove(sharing, "one")
    assert sharing.vectors.count(gone.collection, gone.tenant) == 0
    assert sharing.count("two") == 4


def test_a_catalogue_made_again_never_meets_the_points_of_its_predecessor(
    sharing: SharingWorld,
) -> None:
    sharing.create("one")
    sharing.sell("one", 4)
    first = sharing.live("one")
    remove(sharing, "one")
    sharing.create("one")
    sharing.sell("one", 2)
    again = sharing.live("one")
    assert again.collection == first.collection
    assert again.point_id("p", "a" * 64) != first.point_id("p", "a" * 64)
    assert sharing.count("one") == 2


def test_beyond_the_limit_a_catalogue_moves_into_a_collection_of_its_own(
    sharing: SharingWorld,
) -> None:
    sharing.create("small")
    sharing.sell("small", 20)
    assert sharing.live("small").shared
    sharing.create("large")
    sharing.sell("large", 21)
    before = sharing.embedded.copy()
    moved = sharing.live("large")
    assert not moved.shared
    assert moved.number == 2
    assert sharing.count("large") == len(sharing.found("large")) == 21
    assert sharing.embedded == before
    with sharing.records.begin() as tx:
        old = tx.deployments.get("large", 1)
    assert sharing.vectors.count(old.collection, old.tenant) == 0
    assert sharing.count("small") == 20


def remove(world: SharingWorld, catalog: str) -> None:
    """As the gateway does."""
    with world.records.begin(write=True) as tx:
        collections = [[each.collection, each.tenant] for each in tx.deployments.targets(catalog)]
        revision = tx.catalogs.next_revision(catalog)
        tx.catalogs.mark_deleting(catalog)
        kind, request = OperationKind.DELETE_CATALOG, {"collections": collections}
        tx.operations.create(kind, catalog, revision, request, world.clock.now())
    world.run()
