"""Searches while another model takes over: consistent pairs, shared collections."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from services.core.deployment_ports import Deployment
from services.core.domain.errors import FailedPrecondition
from services.core.domain.model import Model
from services.core.ports import Point
from shelflens.v1 import search_pb2 as sp
from tests.unit.gateway_doubles import MODEL_DIGEST, embedding_of, picture, spec_of
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)
NEW = spec_of("cd")
OTHER = b"another model sees something else"


async def begun(world: World, images: int = 5, shared: bool = False) -> Deployment:
    """A catalogue that BASE serves, and a deployment of NEW beside it that is filled."""
    now = datetime.now(UTC)
    with world.records.begin(write=True) as tx:
        tx.models.put("new", NEW.digest, Model.plain(NEW).to_dict(), now)
        tx.catalogs.create("shop", "", "base", now, shared=shared)
    for number in range(images):
        await world.searchable(f"p-{number}", picture(number))
    world.embedder.salts[NEW.digest] = OTHER
    with world.records.begin(write=True) as tx:
        new = tx.deployments.add("shop", "new", {}, datetime.now(UTC))
    world.index(to=new, salt=OTHER)
    return new


def replace_live(world: World, new: Deployment) -> None:
    """The switch, and at once the end of what was live."""
    with world.records.begin(write=True) as tx:
        old = tx.catalogs.deployment("shop")
        tx.deployments.switch("shop", new.number, datetime.now(UTC))
        tx.deployments.remove("shop", old.number)
    world.vectors.drop_collection(old.collection)


def once(work: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    """Does `work` at the first call."""
    left = [work]

    async def call() -> None:
        if left:
            left.pop()()

    return call


async def search(world: World, number: int = 1, **fields: Any) -> sp.SearchProductsResponse:
    request = sp.SearchProductsRequest(parent="catalogs/shop", photo=picture(number), **fields)
    return await world.search.SearchProducts(request)


async def test_a_search_across_a_switch_is_answered_by_one_deployment(world: World) -> None:
    new = await begun(world)

    def switch() -> None:
        with world.records.begin(write=True) as tx:
            tx.deployments.switch("shop", new.number, datetime.now(UTC))

    await search(world)
    world.embedder.meanwhile[MODEL_DIGEST] = once(switch)
    during, after = await search(world), await search(world)
    # Each model finds its own embedding of the photo in its own collection. The embedding begins
    # before the records are read, so the switch may come before or after that.
    for answer, models in ((during, {MODEL_DIGEST, NEW.digest}), (after, {NEW.digest})):
        assert answer.model_digest in models
        assert answer.results[0].sku == "p-1"
        assert answer.results[0].score == pytest.approx(1, abs=1e-5)


async def test_a_collection_that_goes_during_a_search_is_followed(world: World) -> None:
    new = await begun(world)
    world.embedder.meanwhile[MODEL_DIGEST] = once(lambda: replace_live(world, new))
    answer = await search(world)
    assert (answer.model_digest, answer.results[0].sku) == (NEW.digest, "p-1")
    assert answer.results[0].score == pytest.approx(1, abs=1e-5)


async def test_a_model_that_is_unloaded_during_a_search_is_followed(world: World) -> None:
    new = await begun(world)

    def unload() -> None:
        replace_live(world, new)
        raise FailedPrecondition("the model is not loaded", reason="MODEL_NOT_LOADED")

    world.embedder.meanwhile[MODEL_DIGEST] = once(unload)
    assert (await search(world)).model_digest == NEW.digest


async def test_a_stored_image_is_looked_up_where_it_is_now(world: World) -> None:
    new = await begun(world)
    image = (await search(world)).results[0].image
    fetch = world.vectors.fetch

    def fetch_late(collection: str, ids: Any) -> Any:
        world.vectors.fetch = fetch  # type: ignore[method-assign]
        replace_live(world, new)
        return fetch(collection, ids)

    world.vectors.fetch = fetch_late  # type: ignore[method-assign]
    request = sp.SearchProductsRequest(parent="catalogs/shop", image=image)
    answer = await world.search.SearchProducts(request)
    assert (answer.model_digest, answer.results[0].sku) == (NEW.digest, "p-1")


async def test_a_model_that_no_worker_has_is_asked_for_twice_and_no_more(world: World) -> None:
    await begun(world)
    asked = []

    async def missing() -> None:
        asked.append(1)
        raise FailedPrecondition("the model is not loaded", reason="MODEL_NOT_LOADED")

    world.embedder.meanwhile[MODEL_DIGEST] = missing
    assert await refused(search(world)) == ("FAILED_PRECONDITION", "MODEL_NOT_LOADED")
    assert len(asked) == 2


async def test_a_second_attempt_keeps_the_deadline(world: World) -> None:
    new = await begun(world)

    async def stuck() -> None:
        await asyncio.sleep(30)

    world.embedder.meanwhile[MODEL_DIGEST] = once(lambda: replace_live(world, new))
    world.embedder.meanwhile[NEW.digest] = stuck
    request = sp.SearchProductsRequest(parent="catalogs/shop", photo=picture(1))
    start = time.perf_counter()
    call = world.search.SearchProducts(request, timeout=0.8)
    assert await refused(call) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    assert time.perf_counter() - start < 0.8


def live(world: World) -> Deployment:
    with world.records.begin() as tx:
        return tx.catalogs.deployment("shop")


async def test_a_shared_collection_is_searched_for_one_tenant(world: World) -> None:
    await begun(world, shared=True)
    shared = live(world)
    found = world.vectors.search(shared.collection, embedding_of(picture(1)), limit=1)
    (near,) = world.vectors.fetch(shared.collection, [found[0].id]).values()
    payload = dict(near.payload) | {"catalog": "other.tenant"}
    world.vectors.upsert(shared.collection, [Point("stranger", near.vector, payload)])
    answer = await search(world, hits_per_result=50)
    assert len(answer.results) == sum(len(each.hits) for each in answer.results) == 5
    image = answer.results[0].image
    request = sp.SearchProductsRequest(parent="catalogs/shop", image=image)
    assert (await world.search.SearchProducts(request)).results[0].image == image


async def test_a_tenant_that_is_being_removed_is_no_partial_answer(world: World) -> None:
    new = await begun(world, shared=True)
    old = live(world)

    def lose_some() -> None:
        with world.records.begin(write=True) as tx:
            tx.deployments.switch("shop", new.number, datetime.now(UTC))
        points = world.vectors.points[old.collection]
        for each in list(points)[:3]:
            del points[each]

    world.embedder.meanwhile[MODEL_DIGEST] = once(lose_some)
    answer = await search(world)
    assert (answer.model_digest, len(answer.results)) == (NEW.digest, 5)
