"""Both clients over a real channel: resources, pages, errors, searching, waiting."""

import inspect
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from shelflens import AsyncClient, Client
from shelflens.errors import (
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    NotFound,
    Unavailable,
)
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.values import Operation
from tests.unit.test_client_server import MemoryServer, serving
from tests.unit.test_client_server_state import make_status


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


def test_a_catalog_is_created_changed_listed_and_deleted(client: Client) -> None:
    made = client.create_catalog("other", display_name="Other")
    assert (made.name, made.display_name, made.model) == ("catalogs/other", "Other", "models/base")
    assert client.update_catalog("other", display_name="New").display_name == "New"
    assert client.get_catalog("catalogs/other").display_name == "New"
    assert [each.name for each in client.list_catalogs()] == ["catalogs/other", "catalogs/shop"]
    assert client.delete_catalog("other").kind == "delete_catalog"
    with pytest.raises(NotFound):
        client.get_catalog("other")


def test_a_product_is_created_changed_and_deleted(client: Client) -> None:
    made = client.create_product("shop", "A 1", title="Tea", price=2, labels=["x"])
    assert (made.sku, made.price, made.stock, made.labels) == ("A 1", 2.0, None, ("x",))
    changed = client.update_product(
        made.name, title="", stock=0, attributes={"a": "b"}, clear=["price"]
    )
    assert (changed.title, changed.price, changed.stock) == ("", None, 0.0)
    assert (changed.labels, changed.attributes) == (("x",), {"a": "b"})
    assert client.get_product("shop/A 1") == changed
    assert client.delete_product("shop/A 1") == 7
    with pytest.raises(NotFound):
        client.get_product("shop/A 1")


def test_lists_fetch_page_after_page_and_only_those_needed(
    client: Client, server: MemoryServer
) -> None:
    for number in range(8):
        client.create_product("shop", f"p{number}")
    products = client.list_products("shop")
    assert next(products).sku == "p0"
    assert server.calls["ListProducts"] == 1
    assert [each.sku for each in products] == [f"p{number}" for number in range(1, 8)]
    assert server.calls["ListProducts"] == 3


def test_image_bytes_come_back_as_they_went(client: Client) -> None:
    data = bytes(range(256)) * 9000  # three messages each way
    product = client.create_product("shop", "A")
    image = client.upload_image(product.name, data)
    assert image.state == "SEARCHABLE"
    assert client.download_image(image.name) == data
    assert client.get_image(image.name) == image
    assert list(client.list_images(product.name)) == [image]
    assert client.delete_image(image.name) == 8
    assert list(client.list_images(product.name)) == []


def test_every_write_that_may_be_repeated_carries_its_own_uuid4(
    client: Client, server: MemoryServer
) -> None:
    client.create_product("shop", "A")
    image = client.upload_image("shop/A", b"x")
    client.delete_image(image.name)
    client.delete_product("shop/A")
    client.delete_catalog("shop")
    ids = server.request_ids
    assert len(ids) == len(set(ids)) == 6
    assert all(uuid.UUID(each).version == 4 for each in ids)


def test_errors_have_their_class_reason_metadata_and_code(client: Client) -> None:
    with pytest.raises(NotFound) as caught:
        client.get_catalog("none")
    error = caught.value
    assert (error.reason, error.code) == ("CATALOG_NOT_FOUND", "NOT_FOUND")
    assert error.metadata == {"name": "catalogs/none"}
    assert str(error) == "CATALOG_NOT_FOUND: catalogs/none does not exist"
    with pytest.raises(AlreadyExists):
        client.create_catalog("shop")
    client.create_product("shop", "A")
    with pytest.raises(FailedPrecondition) as refused:
        client.delete_catalog("shop")
    assert refused.value.reason == "CATALOG_NOT_EMPTY"


def test_a_server_that_is_away_for_a_moment_is_asked_again(
    client: Client, server: MemoryServer
) -> None:
    server.down = 2
    assert client.get_catalog("shop").name == "catalogs/shop"


def test_a_server_that_is_not_there_is_named() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 "):
        client.get_catalog("shop")


def test_the_target_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFLENS_TARGET", "example:1")
    assert Client().target == "example:1"
    assert Client("other:2").target == "other:2"
    monkeypatch.delenv("SHELFLENS_TARGET")
    assert Client().target == "127.0.0.1:50051"


def start(server: MemoryServer, polls: int = 3) -> str:
    server.polls_until_done = polls
    operation = server.start(pb.ImportProductsMetadata(catalog="catalogs/shop", state="RUNNING"))
    operation.response.Pack(pb.ImportProductsResponse())
    return str(operation.name)


def test_waiting_reports_progress_until_it_is_done(client: Client, server: MemoryServer) -> None:
    heard: list[bool] = []
    done = client.wait_operation(
        start(server), on_progress=lambda operation: heard.append(operation.done)
    )
    assert heard == [False, False, True]
    assert (done.kind, done.catalog) == ("import", "catalogs/shop")
    assert done.raise_for_error() is done


def test_waiting_survives_a_server_that_is_away(client: Client, server: MemoryServer) -> None:
    heard: list[bool] = []

    def go_down_once(operation: Operation) -> None:
        if not heard:
            server.down = 4  # as often as gRPC itself tries
        heard.append(operation.done)

    done = client.wait_operation(start(server, polls=2), on_progress=go_down_once)
    assert done.done
    assert heard == [False, True]


def test_waiting_for_a_server_that_never_answered_fails_at_once() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(Unavailable):
        client.wait_operation("x")


def test_waiting_ends_after_its_timeout_and_leaves_the_operation_alone(
    client: Client, server: MemoryServer
) -> None:
    name = start(server, polls=1000)
    with pytest.raises(DeadlineExceeded) as caught:
        client.wait_operation(name, timeout=0.3)
    assert caught.value.reason == "WAIT_TIMED_OUT"
    assert not client.get_operation(name).done


def test_operations_are_listed_cancelled_and_deleted(client: Client, server: MemoryServer) -> None:
    name = start(server)
    assert [each.name for each in client.list_operations()] == [name]
    client.cancel_operation(name)
    cancelled = client.get_operation(name.removeprefix("operations/"))
    assert cancelled.done
    with pytest.raises(Cancelled):
        cancelled.raise_for_error()
    client.delete_operation(name)
    with pytest.raises(NotFound):
        client.get_operation(name)


def test_metadata_of_an_unknown_type_is_tolerated(client: Client, server: MemoryServer) -> None:
    operation = server.start(make_status("OK", "NONE", "any message will do"))
    found = client.get_operation(operation.name)
    assert (found.kind, found.state, found.done) == ("google.rpc.Status", "RUNNING", False)
    operation.metadata.type_url = "type.googleapis.com/not.known.Here"
    assert client.get_operation(operation.name).kind == "not.known.Here"


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    for name in (each for each in dir(Client) if not each.startswith("_")):
        if name in ("run", "run_pages"):
            continue
        blocking = inspect.signature(getattr(Client, name))
        awaited = inspect.signature(getattr(AsyncClient, name))
        assert list(blocking.parameters) == list(awaited.parameters), name
        assert inspect.getdoc(getattr(AsyncClient, name))


async def test_the_async_client_does_the_same(aio: AsyncClient, server: MemoryServer) -> None:
    for number in range(4):
        await aio.create_product("shop", f"p{number}")
    assert [each.sku async for each in aio.list_products("shop")] == ["p0", "p1", "p2", "p3"]
    image = await aio.upload_image("shop/p0", b"x" * 3_000_000)
    assert len(await aio.download_image(image.name)) == 3_000_000
    assert (await aio.search("shop", b"good")).model == "models/base"
    with pytest.raises(NotFound):
        await aio.get_catalog("none")
    heard: list[bool] = []
    done = await aio.wait_operation(start(server), on_progress=lambda each: heard.append(each.done))
    assert done.done
    assert heard == [False, False, True]
