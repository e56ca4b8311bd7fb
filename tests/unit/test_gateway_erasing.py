"""Erasing and exporting through the API."""

import hashlib

import numpy as np
from google.longrunning import operations_pb2 as lro

from services.core.domain import names
from services.core.domain.operations import OperationState
from services.core.shard_files import Embeddings, write_embeddings
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import search_pb2
from tests.unit.gateway_doubles import DIMENSION, MODEL_DIGEST, embedding_of, picture
from tests.unit.test_gateway_world import World, refused, uuid4

pytest_plugins = ("tests.unit.test_gateway_world",)


async def erase(world: World, name: str, request_id: str = "") -> lro.Operation:
    request = pb.EraseContentRequest(name=name, request_id=request_id)
    return await world.catalogs.EraseContent(request)


async def found(world: World, photo: bytes) -> list[str]:
    """SKUs that search returns."""
    request = search_pb2.SearchProductsRequest(parent="catalogs/shop", photo=photo)
    return [each.sku for each in (await world.search.SearchProducts(request)).results]


async def test_an_erased_product_is_not_found_from_the_moment_of_the_call(world: World) -> None:
    await world.catalog()
    product = await world.searchable("a", picture(1), picture(2))
    await world.searchable("b", picture(3))
    assert sorted(await found(world, picture(1))) == ["a", "b"]
    operation = await erase(world, product.name)
    assert await found(world, picture(1)) == ["b"]
    metadata = pb.EraseContentMetadata()
    assert operation.metadata.Unpack(metadata)
    assert (metadata.catalog, metadata.target) == ("catalogs/shop", product.name)
    assert not operation.done
    listed = await world.operations.ListOperations(lro.ListOperationsRequest())
    assert [each.name for each in listed.operations] == [operation.name]
    assert world.queue.messages[-1].operation == operation.name.removeprefix("operations/")


async def test_one_erased_image_leaves_the_others_of_its_product(world: World) -> None:
    await world.catalog()
    product = await world.searchable("a", picture(1), picture(2))
    sha256 = hashlib.sha256(picture(1)).hexdigest()
    await erase(world, f"{product.name}/images/{sha256}")
    images = await world.catalogs.ListImages(pb.ListImagesRequest(parent=product.name))
    assert [each.sha256 for each in images.images] == [hashlib.sha256(picture(2)).hexdigest()]


async def test_a_repeated_request_erases_once(world: World) -> None:
    await world.catalog()
    product, other = await world.product("a"), await world.product("b")
    request_id = uuid4()
    first = await erase(world, product.name, request_id)
    assert await erase(world, product.name, request_id) == first
    call = erase(world, other.name, request_id)
    assert await refused(call) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def test_what_cannot_be_erased_is_refused_with_a_reason(world: World) -> None:
    await world.catalog()
    product = await world.product("a")
    for name, code, reason in (
        ("catalogs/none/products/a", "NOT_FOUND", "CATALOG_NOT_FOUND"),
        ("catalogs/shop/products/none", "NOT_FOUND", "PRODUCT_NOT_FOUND"),
        (f"{product.name}/images/{'0' * 64}", "NOT_FOUND", "IMAGE_NOT_FOUND"),
        (f"{product.name}/images/short", "INVALID_ARGUMENT", "INVALID_DIGEST"),
        ("catalogs/shop", "INVALID_ARGUMENT", "INVALID_NAME"),
    ):
        assert await refused(erase(world, name)) == (code, reason)
    assert not world.queue.messages


async def test_an_erasure_ends_with_its_counts_and_cannot_be_cancelled(world: World) -> None:
    await world.catalog()
    operation = await erase(world, (await world.product("a")).name)
    cancel = world.operations.CancelOperation(lro.CancelOperationRequest(name=operation.name))
    assert await refused(cancel) == ("FAILED_PRECONDITION", "NOT_CANCELLABLE")
    with world.records.begin(write=True) as tx:
        stored = tx.operations.get(operation.name.removeprefix("operations/"))
        stored.state = OperationState.SUCCEEDED
        stored.result = {"image_count": 1, "object_count": 2, "shared_count": 3}
        tx.operations.save(stored)
    ended = await world.operations.GetOperation(lro.GetOperationRequest(name=operation.name))
    response = pb.EraseContentResponse()
    assert ended.response.Unpack(response)
    assert (response.image_count, response.object_count, response.shared_count) == (1, 2, 3)


def embed(world: World, key: str, *pictures: bytes) -> None:
    """What the embedding worker and the coordinator do."""
    shas = tuple(hashlib.sha256(each).hexdigest() for each in pictures)
    vectors = np.stack([embedding_of(each) for each in pictures])
    rows = Embeddings(shas, vectors, np.ones(len(shas), np.float32))
    world.objects.put(key, write_embeddings(rows))
    with world.records.begin(write=True) as tx:
        tx.embeddings.add(MODEL_DIGEST, key, shas)
        products = [each.id for each in tx.products.page("shop", "", 100)]
        entries = tx.imports.unplanned("shop", products)
        revision = tx.catalogs.next_revision("shop")
        planned = [(each.product.id, each.sha256) for each in entries]
        tx.imports.planned("shop", planned, revision)
        tx.imports.indexed("shop", revision)


async def export(world: World) -> list[pb.ExportEmbeddingsResponse]:
    request = pb.ExportEmbeddingsRequest(parent="catalogs/shop")
    return [each async for each in world.catalogs.ExportEmbeddings(request)]


async def test_an_export_has_the_embedding_of_every_searchable_image(world: World) -> None:
    await world.catalog()
    shared, lone, hidden = picture(1), picture(2), picture(3)
    a = await world.searchable("SKU A", shared, lone)
    b = await world.searchable("b", shared)
    embed(world, "embeddings/one", shared, hidden)
    embed(world, "embeddings/two", lone)
    await world.searchable("c", hidden)  # embedded, and not indexed yet
    messages = await export(world)
    assert {each.model_digest for each in messages} == {MODEL_DIGEST}
    rows = {each.image: each for message in messages for each in message.embeddings}
    shas = {data: hashlib.sha256(data).hexdigest() for data in (shared, lone)}
    wanted = {(a.name, "SKU A", shared), (a.name, "SKU A", lone), (b.name, "b", shared)}
    assert rows.keys() == {f"{name}/images/{shas[data]}" for name, _, data in wanted}
    for name, sku, data in wanted:
        row = rows[f"{name}/images/{shas[data]}"]
        assert row.sku == sku
        np.testing.assert_array_equal(np.array(row.values, np.float32), embedding_of(data))
        assert len(row.values) == DIMENSION


async def test_an_empty_catalogue_exports_its_model_alone(world: World) -> None:
    await world.catalog()
    (only,) = await export(world)
    assert (only.model_digest, len(only.embeddings)) == (MODEL_DIGEST, 0)
    request = pb.ExportEmbeddingsRequest(parent="catalogs/none")
    call = world.catalogs.ExportEmbeddings(request).read()
    assert await refused(call) == ("NOT_FOUND", "CATALOG_NOT_FOUND")


async def test_an_export_follows_a_file_that_an_erasure_writes_anew(world: World) -> None:
    await world.catalog()
    await world.searchable("a", picture(1), picture(2))
    embed(world, "embeddings/old", picture(1), picture(2))
    kept = hashlib.sha256(picture(2)).hexdigest()
    with world.records.begin(write=True) as tx:
        (file,) = tx.erasing.files_of([kept])
        gone = hashlib.sha256(picture(1)).hexdigest()
        tx.erasing.move(file, "embeddings/new", [kept], [gone])
    rows = Embeddings((kept,), embedding_of(picture(2))[None], np.ones(1, np.float32))
    world.objects.put("embeddings/new", write_embeddings(rows))
    world.objects.delete("embeddings/old")
    messages = await export(world)
    (row,) = [each for message in messages for each in message.embeddings]
    assert row.image == names.image_name("shop", "a", kept)
    np.testing.assert_array_equal(np.array(row.values, np.float32), embedding_of(picture(2)))
    world.objects.delete("embeddings/new")
    assert await refused(export(world)) == ("DATA_LOSS", "EMBEDDINGS_MISSING")
