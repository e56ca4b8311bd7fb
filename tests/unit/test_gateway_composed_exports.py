"""Exports of embeddings that only a collection has: those of composed models."""

import numpy as np
import pytest

from services.core.adapters.system_clock import SystemClock
from services.core.domain.errors import Aborted
from services.core.domain.model import Member, Model
from services.gateway.handlers.exports import Exports
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import Transactions
from shelflens.v1 import catalogs_pb2
from tests.unit.gateway_doubles import BASE, DIMENSION, embedding_of, picture
from tests.unit.test_gateway_deployments import STRONG, deployed, put, remove, rollback
from tests.unit.test_gateway_world import World

pytest_plugins = ("tests.unit.test_gateway_world",)


async def searchable_duo(world: World) -> None:
    """Two images of a product that collection and records show, and a product without any."""
    product = await world.searchable("SKU A", picture(1), picture(2))
    await world.product("bare")
    with world.records.begin(write=True) as tx:
        images = tx.imports.unplanned("shop", [product.name.rpartition("/")[2], "bare"])
        revision = tx.catalogs.next_revision("shop")
        planned = [(each.product.id, each.sha256) for each in images]
        tx.imports.planned("shop", planned, revision)
        tx.imports.indexed("shop", revision)


async def test_embeddings_of_a_composed_model_are_exported_from_its_collection(
    world: World,
) -> None:
    put(world)
    put(world, "duo", Model((Member(BASE), Member(STRONG))))
    await world.catalog()
    await deployed(world, "duo", 2)
    await searchable_duo(world)
    with world.records.begin() as tx:
        deployment = tx.catalogs.deployment("shop")
    parent = catalogs_pb2.ExportEmbeddingsRequest(parent="catalogs/shop")
    messages = [each async for each in world.catalogs.ExportEmbeddings(parent)]
    assert {each.model_digest for each in messages} == {deployment.model_digest}
    rows = [row for each in messages for row in each.embeddings]
    assert {row.sku for row in rows} == {"SKU A"}
    found = sorted(np.array(row.values, np.float32).tolist() for row in rows)
    assert found == sorted(embedding_of(picture(number)).tolist() for number in (1, 2))
    assert len(rows[0].values) == DIMENSION


async def test_an_export_ends_with_an_error_when_its_collection_goes(world: World) -> None:
    put(world, "duo", Model((Member(BASE), Member(STRONG))))
    await world.catalog()
    await deployed(world, "duo", 2)
    await searchable_duo(world)
    with world.records.begin() as tx:
        duo = tx.catalogs.deployment("shop")
    await rollback(world)
    await remove(world, 2)
    world.vectors.drop_collection(duo.collection)
    threads = Threads(1, "test")
    transactions = Transactions(world.records, world.queue, SystemClock(), threads)
    exports = Exports(transactions, world.objects, world.vectors, threads)
    with pytest.raises(Aborted) as caught:
        await anext(exports.pieces(duo))
    assert caught.value.reason == "DEPLOYMENT_GONE"
    await threads.close()
