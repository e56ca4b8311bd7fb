"""StreamSearchProducts, and the stream machinery below it."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc import code_pb2

from services.gateway.servicers.streams import answered
from shelflens.v1 import search_pb2 as sp
from tests.unit.gateway_doubles import picture
from tests.unit.test_gateway_world import World, reason_of

pytest_plugins = ("tests.unit.test_gateway_world",)


def item(number: int, photo: bytes) -> sp.StreamSearchProductsRequest:
    request = sp.SearchProductsRequest(parent="catalogs/shop", photo=photo, top_k=1)
    return sp.StreamSearchProductsRequest(correlation_id=str(number), request=request)


async def test_a_bad_photo_fails_alone(world: World) -> None:
    await world.catalog()
    for number in range(3):
        await world.searchable(f"p-{number}", picture(number))
    photos = [picture(0), b"bad", picture(1), b"", picture(2)]
    stream = world.search.StreamSearchProducts(
        iter([item(number, photo) for number, photo in enumerate(photos)])
    )
    answers = {each.correlation_id: each async for each in stream}
    assert len(answers) == 5
    found = {key: each.response.results[0].sku for key, each in answers.items() if key in "024"}
    assert found == {"0": "p-0", "2": "p-1", "4": "p-2"}
    assert answers["1"].status.code == code_pb2.INVALID_ARGUMENT
    assert reason_of(answers["1"].status) == "IMAGE_FORMAT_UNSUPPORTED"
    assert reason_of(answers["3"].status) == "IMAGE_EMPTY"


async def test_many_photos_on_one_stream_overlap(world: World) -> None:
    await world.catalog()
    await world.searchable("p", picture(0))
    world.embedder.delay = 0.1
    start = asyncio.get_running_loop().time()
    stream = world.search.StreamSearchProducts(
        iter([item(number, picture(0)) for number in range(24)])
    )
    assert len([each async for each in stream]) == 24
    # One after another they would take 2.4 s.
    assert asyncio.get_running_loop().time() - start < 1.5


async def test_an_answer_comes_while_the_stream_is_open(world: World) -> None:
    await world.catalog()
    call = world.search.StreamSearchProducts()
    await call.write(item(1, picture(1)))
    answer = await asyncio.wait_for(call.read(), 5)
    assert isinstance(answer, sp.StreamSearchProductsResponse)
    assert answer.correlation_id == "1"
    await call.done_writing()
    assert await call.read() == grpc.aio.EOF


async def endless(read: list[int]) -> AsyncIterator[int]:
    for number in range(1_000):
        read.append(number)
        yield number


async def test_a_reader_that_stops_is_not_read_ahead_of() -> None:
    read: list[int] = []

    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        return number

    answers = answered(endless(read), answer, 4)
    await anext(answers)
    await asyncio.sleep(0.05)
    assert len(read) <= 7


async def test_an_error_of_the_stream_itself_reaches_the_reader() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("gone")

    async def answer(number: int) -> int:
        return number

    with pytest.raises(ConnectionError, match="gone"):
        assert [each async for each in answered(broken(), answer, 4)] == [1]


async def test_leaving_a_stream_stops_its_work() -> None:
    stopped = asyncio.Event()

    async def answer(number: int) -> int:
        if number == 0:
            return 0
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return number

    answers = answered(endless([]), answer, 4)
    assert await anext(answers) == 0
    await asyncio.sleep(0.01)
    await answers.aclose()  # type: ignore[attr-defined]
    await asyncio.wait_for(stopped.wait(), 1)
