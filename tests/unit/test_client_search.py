"""Searching over a real channel: one photo, and many on one stream."""

from collections.abc import AsyncIterator, Iterator

import pytest

from shelflens import AsyncClient, Client
from shelflens.errors import InvalidArgument, ShelflensError
from shelflens.values import SearchResponse, to_json
from tests.unit.test_client_server import MemoryServer, serving


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        client.create_catalog("shop")
        yield client


@pytest.fixture
async def aio(client: Client) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(client.target, timeout=10) as aio:
        yield aio


def test_a_search_sends_its_options_and_reads_the_answer(
    client: Client, server: MemoryServer
) -> None:
    client.create_product("shop", "A", title="Tea")
    answer = client.search(
        "shop", b"good", top_k=3, categories=["Drinks"], min_price=1, max_stock=0,
        threshold=0.25, group_by="parent", timings=True,
    )  # fmt: skip
    assert [(each.sku, each.score) for each in answer.results] == [("A", 0.5)]
    assert answer.timings_ms == {"total": 1.5}
    assert to_json(answer)["index_time"] == "2023-11-14T22:13:20Z"
    sent = server.searches[0]
    assert (sent.photo, sent.top_k, sent.score_threshold, sent.group_by) == (b"good", 3, 0.25, 2)
    assert list(sent.filter.categories) == ["Drinks"]
    price, stock = sent.filter.ranges
    assert (price.field, price.min, price.HasField("max")) == ("price", 1, False)
    assert (stock.field, stock.max, stock.HasField("min")) == ("stock", 0, False)


def test_a_search_asks_for_exactly_one_thing(client: Client, server: MemoryServer) -> None:
    client.search("shop", embedding=[1.0, 2.0])
    assert list(server.searches[-1].embedding.values) == [1.0, 2.0]
    client.search("shop", image="shop/A/" + "a" * 64)
    assert (
        server.searches[-1].image
        == "catalogs/shop/products/"
        + (server.searches[-1].image.split("/")[3])
        + "/images/"
        + "a" * 64
    )
    assert not server.searches[-1].HasField("score_threshold")
    for wrong in ({}, {"photo": b"good", "image": "x"}):
        with pytest.raises(InvalidArgument):
            client.search("shop", **wrong)  # type: ignore[arg-type]


PHOTOS: list[tuple[str, bytes | str]] = [
    ("1", b"good"),
    ("2", b"bad"),
    ("3", "/no/such/file"),
    ("4", b"x" * 8_000_000),
]


def outcomes(answers: list[tuple[str, SearchResponse | ShelflensError]]) -> dict[str, str]:
    return {
        key: each.reason if isinstance(each, ShelflensError) else each.model
        for key, each in answers
    }


EXPECTED = {
    "1": "models/base",
    "2": "IMAGE_UNDECODABLE",
    "3": "FILE_NOT_FOUND",
    "4": "IMAGE_TOO_LARGE",
    "5": "models/base",
}


def test_one_bad_photo_does_not_end_a_stream(client: Client) -> None:
    answers = client.search_many("shop", [*PHOTOS, ("5", b"good too")], top_k=1)
    assert outcomes(list(answers)) == EXPECTED


def test_answers_of_a_stream_come_before_its_photos_end(client: Client) -> None:
    asked: list[str] = []

    def photos() -> Iterator[tuple[str, bytes]]:
        for number in range(1000):
            asked.append(str(number))
            yield str(number), b"good" + b"x" * 100_000

    answers = client.search_many("shop", photos())
    assert next(answers)[0] == "0"
    assert len(asked) < 1000
    answers.close()  # type: ignore[attr-defined]


def test_an_error_of_the_callers_own_photos_is_raised_as_it_is(client: Client) -> None:
    def photos() -> Iterator[tuple[str, bytes]]:
        yield "1", b"good"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        list(client.search_many("shop", photos()))


async def test_the_async_stream_answers_one_by_one_too(aio: AsyncClient) -> None:
    async def photos() -> AsyncIterator[tuple[str, bytes | str]]:
        for each in [*PHOTOS, ("5", b"good too")]:
            yield each

    answers = [each async for each in aio.search_many("shop", photos())]
    assert outcomes(answers) == EXPECTED
