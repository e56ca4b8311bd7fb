"""Catalogues and products through the API: masks, repeats, pages, names."""

import asyncio

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from shelflens.v1 import catalogs_pb2 as pb
from tests.unit.test_gateway_world import World, refused, uuid4

pytest_plugins = ("tests.unit.test_gateway_world",)


async def test_a_new_catalogue_is_served_by_the_built_in_model(world: World) -> None:
    made = await world.catalog()
    assert (made.name, made.model, made.revision) == ("catalogs/shop", "models/base", 0)
    assert await world.catalogs.GetCatalog(pb.GetCatalogRequest(name="catalogs/shop")) == made
    again = world.catalogs.CreateCatalog(pb.CreateCatalogRequest(catalog_id="shop"))
    assert await refused(again) == ("ALREADY_EXISTS", "CATALOG_EXISTS")


@pytest.mark.parametrize("name", ["", "shop", "catalogs/", "catalogs/A b", "catalogs/../x"])
async def test_a_name_of_another_form_is_refused(world: World, name: str) -> None:
    call = world.catalogs.GetCatalog(pb.GetCatalogRequest(name=name))
    assert await refused(call) == ("INVALID_ARGUMENT", "INVALID_NAME")


async def test_pages_hold_every_product_once_and_in_order(world: World) -> None:
    await world.catalog()
    skus = [f"p-{number}" for number in range(5)]
    for sku in reversed(skus):
        await world.product(sku)
    seen, token = [], ""
    while True:
        answer = await world.catalogs.ListProducts(
            pb.ListProductsRequest(parent="catalogs/shop", page_size=2, page_token=token)
        )
        seen += [each.sku for each in answer.products]
        token = answer.next_page_token
        if not token:
            break
    assert seen == skus


async def test_a_page_token_fits_its_own_request_only(world: World) -> None:
    await world.catalog()
    await world.catalog("other")
    await world.product("a")
    await world.product("b")
    first = await world.catalogs.ListProducts(
        pb.ListProductsRequest(parent="catalogs/shop", page_size=1)
    )
    token = first.next_page_token
    elsewhere = pb.ListProductsRequest(parent="catalogs/other", page_token=token)
    garbage = pb.ListProductsRequest(parent="catalogs/shop", page_token="bm90aGluZw==")
    for request in (elsewhere, garbage):
        call = world.catalogs.ListProducts(request)
        assert await refused(call) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")
    of_another_rpc = world.catalogs.ListCatalogs(pb.ListCatalogsRequest(page_token=token))
    assert await refused(of_another_rpc) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


async def test_a_negative_page_size_is_refused(world: World) -> None:
    call = world.catalogs.ListCatalogs(pb.ListCatalogsRequest(page_size=-1))
    assert await refused(call) == ("INVALID_ARGUMENT", "PAGE_SIZE_NEGATIVE")


async def update(world: World, product: pb.Product, *paths: str) -> pb.Product:
    mask = FieldMask(paths=paths)
    return await world.catalogs.UpdateProduct(
        pb.UpdateProductRequest(product=product, update_mask=mask)
    )


async def test_a_mask_changes_the_fields_that_it_names(world: World) -> None:
    await world.catalog()
    made = await world.product("a", title="old", description="kept", price=2.5)
    changed = await update(world, pb.Product(name=made.name, title="new"), "title", "price")
    assert (changed.title, changed.description) == ("new", "kept")
    assert not changed.HasField("price")
    assert changed.revision == 2


async def test_an_empty_mask_changes_what_is_set(world: World) -> None:
    await world.catalog()
    made = await world.product("a", title="old", price=2.5)
    made.title = "new"
    made.ClearField("price")
    changed = await update(world, made)
    assert (changed.title, changed.price) == ("new", 2.5)


async def test_a_star_replaces_everything_but_the_sku(world: World) -> None:
    await world.catalog()
    made = await world.product("a", title="old", price=2.5, labels=["x"])
    changed = await update(world, pb.Product(name=made.name, title="new"), "*")
    assert (changed.sku, changed.title, list(changed.labels)) == ("a", "new", [])
    assert not changed.HasField("price")


async def test_an_unknown_path_is_refused(world: World) -> None:
    await world.catalog()
    made = await world.product("a")
    assert await refused(update(world, made, "colour")) == ("INVALID_ARGUMENT", "UNKNOWN_FIELD")


async def test_the_sku_cannot_change(world: World) -> None:
    await world.catalog()
    made = await world.product("a")
    other = pb.Product(name=made.name, sku="b")
    assert await refused(update(world, other, "sku")) == ("INVALID_ARGUMENT", "IMMUTABLE_FIELD")
    assert await refused(update(world, other)) == ("INVALID_ARGUMENT", "IMMUTABLE_FIELD")


async def test_the_model_of_a_catalogue_cannot_change(world: World) -> None:
    await world.catalog()
    other = pb.Catalog(name="catalogs/shop", model="models/other", display_name="Shop")
    call = world.catalogs.UpdateCatalog(pb.UpdateCatalogRequest(catalog=other))
    assert await refused(call) == ("INVALID_ARGUMENT", "IMMUTABLE_FIELD")
    other.model = "models/base"
    renamed = await world.catalogs.UpdateCatalog(pb.UpdateCatalogRequest(catalog=other))
    assert renamed.display_name == "Shop"


@pytest.mark.parametrize(
    "sku", ["Ünïcødé 🧃/42", "苹果汁 1L", "../../etc/passwd", "A B", "é" * 200]
)
async def test_any_text_can_be_a_sku(world: World, sku: str) -> None:
    await world.catalog()
    made = await world.product(sku)
    read = await world.catalogs.GetProduct(pb.GetProductRequest(name=made.name))
    assert read.sku == sku
    assert made.name.isascii()


async def test_a_sku_that_is_too_long_is_refused(world: World) -> None:
    await world.catalog()
    assert await refused(world.product("x" * 201)) == ("INVALID_ARGUMENT", "FIELD_TOO_LONG")


def create(sku: str, request_id: str) -> pb.CreateProductRequest:
    product = pb.Product(sku=sku)
    return pb.CreateProductRequest(parent="catalogs/shop", product=product, request_id=request_id)


async def test_a_repeat_gets_the_first_answer(world: World) -> None:
    await world.catalog()
    request = create("a", uuid4())
    first = await world.catalogs.CreateProduct(request)
    await update(world, pb.Product(name=first.name, title="later"))
    assert await world.catalogs.CreateProduct(request) == first


async def test_repeats_at_the_same_time_make_one_resource(world: World) -> None:
    request = pb.CreateCatalogRequest(catalog_id="shop", request_id=uuid4())
    calls = [world.catalogs.CreateCatalog(request) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    assert all(each == answers[0] for each in answers)


async def test_a_request_id_cannot_be_used_for_another_request(world: World) -> None:
    await world.catalog()
    request_id = uuid4()
    await world.catalogs.CreateProduct(create("a", request_id))
    call = world.catalogs.CreateProduct(create("b", request_id))
    assert await refused(call) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


@pytest.mark.parametrize("request_id", ["x", "00000000-0000-1000-8000-000000000000"])
async def test_a_request_id_is_a_uuid4(world: World, request_id: str) -> None:
    await world.catalog()
    call = world.catalogs.CreateProduct(create("a", request_id))
    assert await refused(call) == ("INVALID_ARGUMENT", "REQUEST_ID_INVALID")


async def test_a_change_is_announced_with_its_revision(world: World) -> None:
    await world.catalog()
    made = await world.product("a")
    assert world.queue.messages == []
    changed = await update(world, pb.Product(name=made.name, title="new"))
    assert [each.revision for each in world.queue.messages] == [changed.revision]
    with world.records.begin() as tx:
        operation = tx.operations.get(world.queue.messages[0].operation)
    assert operation.request == {"products": ["a"], "embed": []}


async def test_a_write_holds_although_the_broker_is_down(world: World) -> None:
    await world.catalog()
    made = await world.product("a")
    world.queue.down = True
    deleted = await world.catalogs.DeleteProduct(pb.DeleteProductRequest(name=made.name))
    assert deleted.revision == 2
    call = world.catalogs.GetProduct(pb.GetProductRequest(name=made.name))
    assert await refused(call) == ("NOT_FOUND", "PRODUCT_NOT_FOUND")
    with world.records.begin() as tx:
        assert len(tx.operations.active()) == 1


async def test_a_catalogue_with_products_is_deleted_only_by_force(world: World) -> None:
    await world.catalog()
    await world.product("a")
    request = pb.DeleteCatalogRequest(name="catalogs/shop")
    call = world.catalogs.DeleteCatalog(request)
    assert await refused(call) == ("FAILED_PRECONDITION", "CATALOG_NOT_EMPTY")
    request.force = True
    operation = await world.catalogs.DeleteCatalog(request)
    metadata = pb.DeleteCatalogMetadata()
    assert operation.metadata.Unpack(metadata)
    assert metadata.catalog == "catalogs/shop"
    read = world.catalogs.GetCatalog(pb.GetCatalogRequest(name="catalogs/shop"))
    assert await refused(read) == ("NOT_FOUND", "CATALOG_NOT_FOUND")
    inside = world.catalogs.GetProduct(pb.GetProductRequest(name="catalogs/shop/products/a"))
    assert await refused(inside) == ("NOT_FOUND", "CATALOG_NOT_FOUND")
    assert await refused(world.product("b")) == ("NOT_FOUND", "CATALOG_NOT_FOUND")
