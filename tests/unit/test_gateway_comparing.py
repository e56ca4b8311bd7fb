"""Comparing searches with a deployment that is about to become live."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from services.core.deployment_ports import Deployment
from services.core.domain.catalog import Product, ProductFields
from services.core.domain.errors import Unavailable
from services.core.domain.ranking import Hit, RankedGroup
from services.gateway.handlers.candidates import Found, Ranked
from services.gateway.handlers.comparing import compared
from services.gateway.settings import GatewayLimits
from shelflens.v1 import search_pb2 as sp
from tests.unit.gateway_doubles import MODEL_DIGEST
from tests.unit.test_gateway_switching import NEW, begun, search
from tests.unit.test_gateway_world import World

pytest_plugins = ("tests.unit.test_gateway_world",)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - what is waited for is in the records
            await asyncio.sleep(0.01)


def comparison(world: World, number: int = 2) -> dict[str, Any]:
    with world.records.begin() as tx:
        return dict(tx.deployments.get("shop", number).comparison)


def compare(world: World, new: Deployment) -> None:
    """What the coordinator does when a deployment is to be compared."""
    with world.records.begin(write=True) as tx:
        tx.deployments.compare("shop", new.number)


async def test_searches_are_compared_with_the_deployment_to_come(world: World) -> None:
    new = await begun(world, images=20)
    await search(world)
    assert comparison(world) == {}
    compare(world, new)
    answer = await search(world, top_k=1)
    assert (answer.model_digest, len(answer.results)) == (MODEL_DIGEST, 1)
    await until(lambda: bool(comparison(world)))
    told = comparison(world)
    # Both models find the photo's own product first and order the others in their own ways.
    assert (told["searches"], told["same_first"]) == (1, 1.0)
    assert 0.1 <= told["overlap_at_10"] < 1
    await search(world, number=2)
    await until(lambda: comparison(world)["searches"] == 2)
    with world.records.begin(write=True) as tx:
        tx.deployments.switch("shop", new.number, datetime.now(UTC))
    count = len(world.embedder.digests)
    await search(world)
    await asyncio.sleep(0.1)  # time enough to compare by mistake
    assert world.embedder.digests[count:].count(NEW.digest) == 1
    assert comparison(world)["searches"] == 2


async def test_only_new_searches_by_photo_are_compared(world: World) -> None:
    new = await begun(world)
    compare(world, new)
    first = await search(world, page_size=2)
    await until(lambda: comparison(world).get("searches") == 1)
    await search(world, page_size=2, page_token=first.next_page_token)
    image = first.results[0].image
    request = sp.SearchProductsRequest(parent="catalogs/shop", image=image)
    await world.search.SearchProducts(request)
    await asyncio.sleep(0.1)  # time enough to compare by mistake
    assert comparison(world)["searches"] == 1


async def test_comparing_neither_delays_nor_fails_a_search(world: World) -> None:
    new = await begun(world)
    compare(world, new)
    release = asyncio.Event()
    begun_comparisons: list[int] = []

    async def stuck() -> None:
        begun_comparisons.append(1)
        await release.wait()

    world.embedder.meanwhile[NEW.digest] = stuck
    for number in range(4):
        async with asyncio.timeout(5):
            assert (await search(world, number)).model_digest == MODEL_DIGEST
    await until(lambda: len(begun_comparisons) == GatewayLimits().compared_at_once)
    release.set()
    await until(lambda: comparison(world).get("searches") == 2)  # the others were let go

    async def broken() -> None:
        raise Unavailable("no worker")

    world.embedder.meanwhile[NEW.digest] = broken
    assert (await search(world)).model_digest == MODEL_DIGEST
    assert comparison(world)["searches"] == 2


async def test_a_search_without_a_comparison_reads_the_records_as_before(world: World) -> None:
    await begun(world)
    await search(world)
    transactions: list[object] = []
    begin = world.records.begin

    def counted(**options: Any) -> Any:
        transactions.append(options)
        return begin(**options)

    world.records.begin = counted  # type: ignore[method-assign]
    await search(world)
    assert transactions == [{"snapshot": False}] * 2  # the deployment, the products
    world.records.begin = begin  # type: ignore[method-assign]


def ranked(*keys: str) -> Ranked:
    fields = ProductFields(sku="a")
    product = Product("shop", "a", fields, 1, 1, datetime.now(UTC))
    hit = (Hit("a", "", "0" * 64, 1.0),)
    page = tuple(Found(product, RankedGroup(each, hit)) for each in keys)
    return Ranked(page, len(page), False, True)


@pytest.mark.parametrize(
    ("before", "after", "same", "overlap"),
    [
        ("abcd", "abcd", True, 1.0),
        ("abcd", "dcba", False, 1.0),
        ("abcd", "axyz", True, 0.25),
        ("ab", "abcd", True, 0.5),
        ("", "", True, 1.0),
        ("ab", "", False, 0.0),
    ],
)
def test_rankings_are_compared_by_their_first_and_by_what_both_have(
    before: str, after: str, same: bool, overlap: float
) -> None:
    assert compared(ranked(*before), ranked(*after)) == (same, overlap)
