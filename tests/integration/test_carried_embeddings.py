"""Embeddings that come with imports, among lost, late and repeated messages."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain.external_model import ExternalModel
from services.core.domain.names import point_id
from services.core.domain.operations import Operation, OperationState
from services.core.ports import Float32
from services.core.shard_files import read_embeddings
from tests.integration.import_world import World, row
from tests.integration.test_erasing import erase

DIMENSION = 6
RULES = {"embeddings_model": "clip"}


def vector(number: int) -> Float32:
    values = np.random.default_rng(number).normal(size=DIMENSION)
    return (values / np.linalg.norm(values)).astype(np.float32)


def carrying(sku: str, number: int, *digests: str, **fields: Any) -> dict[str, Any]:
    """A wire row with an embedding."""
    made = row(sku, *digests, **fields) | {"embedding": vector(number).tolist()}
    return made if digests else {name: made[name] for name in ("fields", "embedding")}


@pytest.fixture(params=range(3))
def world(request: pytest.FixtureRequest, tmp_path: Path, vectors: QdrantVectors) -> World:
    world = World(tmp_path, vectors, seed=request.param)
    model = ExternalModel(name="clip", dimension=DIMENSION)
    with world.records.begin(write=True) as tx:
        tx.models.put(model.name, model.digest, model.spec(), world.clock.now())
        for catalog in ("shop", "other"):
            tx.catalogs.create(catalog, "", "clip", world.clock.now())
    return world


def load(
    world: World, rows: list[dict[str, Any]], catalog: str = "shop", **rules: Any
) -> Operation:
    started = world.start_import(catalog, rows, **(rules or RULES))
    world.run(loss=0.1, repetition=0.2)
    return world.operation(started)


def shown(world: World, catalog: str = "shop") -> dict[tuple[str, str], Float32]:
    """What the collection has: (sku, hash) -> vector."""
    with world.records.begin() as tx:
        collection = tx.catalogs.deployment(catalog).collection
        pairs = [
            (product.fields.sku, product.id, image.sha256)
            for product in tx.products.page(catalog, "", 1_000)
            for image in tx.products.page_images(catalog, product.id, "", 1_000)
        ]
    ids = {point_id(catalog, product, sha): (sku, sha) for sku, product, sha in pairs}
    found = world.vectors.fetch(collection, list(ids))
    assert len(found) == world.vectors.count(collection)
    return {ids[each]: point.vector for each, point in found.items()}


def by_sku(world: World, catalog: str = "shop") -> dict[str, Float32]:
    return {sku: values for (sku, _), values in shown(world, catalog).items()}


def assert_vectors(found: dict[str, Float32], **numbers: int) -> None:
    assert found.keys() == numbers.keys()
    for sku, number in numbers.items():
        np.testing.assert_allclose(found[sku], vector(number), atol=1e-6)


def files(world: World) -> list[str]:
    return sorted(world.objects.keys("embeddings/"))


def test_every_row_is_searchable_by_its_own_embedding(world: World) -> None:
    rows = [carrying(f"S{n}", n) for n in range(20)]
    done = load(world, rows)
    assert done.state is OperationState.SUCCEEDED
    assert (done.counts.rows_accepted, done.counts.rows_rejected) == (20, 0)
    assert_vectors(by_sku(world), **{f"S{n}": n for n in range(20)})
    assert world.embedded == []


def test_the_same_again_writes_nothing(world: World) -> None:
    rows = [carrying(f"S{n}", n, *([world.image(f"i{n}")] if n % 2 else [])) for n in range(9)]
    load(world, rows)
    before = files(world)
    again = load(world, rows)
    assert (again.counts.products_unchanged, again.counts.points_indexed) == (9, 0)
    changed = [{**each, "fields": {**each["fields"], "price": 3}} for each in rows]
    done = load(world, changed)
    assert done.counts.products_updated == 9
    assert files(world) == before


def test_a_new_embedding_of_a_product_takes_the_place_of_the_old(world: World) -> None:
    load(world, [carrying("A", 1), carrying("B", 2)])
    done = load(world, [carrying("A", 3), carrying("B", 2)])
    assert done.counts.images_removed == 1
    assert_vectors(by_sku(world), A=3, B=2)


def test_a_picture_has_the_embedding_of_the_last_import_everywhere(world: World) -> None:
    picture = world.image("a")
    load(world, [carrying("A", 1, picture), carrying("C", 9)])
    load(world, [carrying("B", 1, picture)], "other")
    load(world, [carrying("A", 2, picture), carrying("C", 9)])
    world.run()  # the other catalogue follows
    assert_vectors(by_sku(world), A=2, C=9)
    assert_vectors(by_sku(world, "other"), B=2)


def test_pictures_without_an_embedding_are_refused_one_by_one(world: World) -> None:
    first, second, third = (world.image(each) for each in "abc")
    done = load(world, [carrying("A", 1, first, second), carrying("B", 2, third)])
    assert (done.counts.rows_accepted, done.counts.images_refused) == (2, 1)
    assert done.counts.rejected_by_reason == {"EMBEDDING_MISSING": 1}
    assert set(shown(world)) == {("A", first), ("B", third)}
    # Without embeddings: those that are known are found, the others are not.
    plain = load(world, [row("C", third), row("D", second)], validate_only=False)
    assert (plain.counts.rows_accepted, plain.counts.rows_rejected) == (1, 1)
    load(world, [carrying("D", 4, second)])
    assert set(shown(world)) == {("A", first), ("B", third), ("C", third), ("D", second)}


def test_a_picture_refused_early_is_used_when_its_embedding_comes(world: World) -> None:
    first, late = world.image("first"), world.image("late")
    rows = [carrying("A", 1, first, late), *(carrying(f"S{n}", n) for n in range(10, 20))]
    done = load(world, [*rows, carrying("Z", 2, late)])
    assert done.counts.rows_rejected == 0
    assert ("Z", late) in shown(world)


def test_a_dry_run_says_what_would_be_refused_and_writes_nothing(world: World) -> None:
    first, second = world.image("a"), world.image("b")
    rows = [carrying("A", 1, first, second), carrying("B", 2)]
    done = load(world, rows, validate_only=True, **RULES)
    assert (done.counts.rows_accepted, done.counts.products_created) == (2, 2)
    assert done.counts.rejected_by_reason == {"EMBEDDING_MISSING": 1}
    assert files(world) == []


def test_an_erased_embedding_is_nowhere(world: World) -> None:
    load(world, [carrying("a", 1), carrying("b", 2)])
    (gone,) = (sha for sku, sha in shown(world) if sku == "a")
    erase(world, "a")
    world.run()
    assert_vectors(by_sku(world), b=2)
    left = [sha for key in files(world) for sha in read_embeddings(world.objects.get(key)).sha256s]
    assert gone not in left
    assert len(left) == 1
