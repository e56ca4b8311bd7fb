"""Searching through the API."""

import time
from datetime import UTC, datetime

import pytest

from services.core.ports import CollectionSpec, Point
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import search_pb2 as sp
from tests.unit.gateway_doubles import DIMENSION, MODEL_DIGEST, embedding_of, picture
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)


def by_photo(data: bytes, **fields: object) -> sp.SearchProductsRequest:
    return sp.SearchProductsRequest(parent="catalogs/shop", photo=data, **fields)  # type: ignore[arg-type]


async def search(world: World, request: sp.SearchProductsRequest) -> sp.SearchProductsResponse:
    return await world.search.SearchProducts(request)


def skus(answer: sp.SearchProductsResponse) -> list[str]:
    return [each.sku for each in answer.results]


async def test_a_photo_finds_its_product_first(world: World) -> None:
    await world.catalog()
    for number in range(20):
        fields = {"title": f"Juice {number}", "categories": ["Drinks > Juice"], "price": 1.5}
        await world.searchable(f"Ünï-{number}", picture(number), **fields)
    answer = await search(world, by_photo(picture(7), include_timings=True))
    best = answer.results[0]
    assert (best.sku, best.title, best.category) == ("Ünï-7", "Juice 7", "Drinks > Juice")
    assert best.price == 1.5
    assert not best.HasField("stock")
    assert best.score == pytest.approx(1, abs=1e-5)
    assert best.image == best.hits[0].image
    assert best.image.startswith(best.product)
    assert len(answer.results) == 10
    assert (answer.model, answer.model_digest) == ("models/base", MODEL_DIGEST)
    stages = [each.stage for each in answer.timings]
    assert stages == ["decode", "embed", "search", "records", "total"]
    assert not answer.truncated
    assert not answer.next_page_token


async def test_a_search_after_a_change_of_model_embeds_with_the_new_one(world: World) -> None:
    await world.catalog()
    with world.records.begin() as tx:
        spec = tx.models.spec(MODEL_DIGEST)
    for digest in ("cd" * 32, MODEL_DIGEST):
        await search(world, by_photo(picture(1)))
        with world.records.begin(write=True) as tx:
            tx.catalogs.mark_deleting("shop")
            while tx.catalogs.remove_rows("shop", 1000):
                pass
            tx.models.put("base", digest, spec, datetime.now(UTC))
        if digest == MODEL_DIGEST:
            assert (await refused(search(world, by_photo(picture(1)))))[0] == "NOT_FOUND"
        await world.catalog()
        answer = await search(world, by_photo(picture(1)))
        assert answer.model_digest == world.embedder.digests[-1] == digest


async def test_an_image_and_an_embedding_find_the_same_as_the_photo(world: World) -> None:
    await world.catalog()
    for number in range(5):
        await world.searchable(f"p-{number}", picture(number))
    by_pixels = await search(world, by_photo(picture(3)))
    image = by_pixels.results[0].image
    by_name = await search(world, sp.SearchProductsRequest(parent="catalogs/shop", image=image))
    values = embedding_of(picture(3)) * 1e30  # normalised by the gateway
    by_values = await search(
        world,
        sp.SearchProductsRequest(
            parent="catalogs/shop", embedding=sp.Embedding(values=values.tolist())
        ),
    )
    assert skus(by_pixels) == skus(by_name) == skus(by_values)
    assert by_values.results[0].score == pytest.approx(1, abs=1e-5)


async def test_deleted_products_and_images_vanish_at_once(world: World) -> None:
    await world.catalog()
    gone = await world.searchable("gone", picture(1))
    half = await world.searchable("half", picture(2), picture(3))
    await world.catalogs.DeleteProduct(pb.DeleteProductRequest(name=gone.name))
    found = await search(world, by_photo(picture(2)))
    await world.catalogs.DeleteImage(pb.DeleteImageRequest(name=found.results[0].image))
    answer = await search(world, by_photo(picture(2)))
    assert [each.product for each in answer.results] == [half.name]
    assert len(answer.results[0].hits) == 1
    assert answer.results[0].score < 0.999
    again = await world.product("gone")  # a new product does not get the old images back
    assert again.name == gone.name
    assert skus(await search(world, by_photo(picture(1)))) == ["half"]


async def test_candidates_grow_until_enough_products_are_found(world: World) -> None:
    await world.catalog()
    await world.searchable("many", *[picture(number) for number in range(70)])
    await world.searchable("other", picture(100))
    answer = await search(world, by_photo(picture(1), top_k=2, hits_per_result=50))
    assert sorted(skus(answer)) == ["many", "other"]
    assert world.vectors.limits == sorted(world.vectors.limits)
    assert world.vectors.limits[0] == 20
    assert not answer.truncated
    exhausted = await search(world, by_photo(picture(1), top_k=5))
    assert len(exhausted.results) == 2
    assert not exhausted.truncated


async def test_variants_of_one_parent_are_one_result(world: World) -> None:
    await world.catalog()
    for number in range(3):
        await world.searchable(f"shirt-{number}", picture(number), parent="shirt")
    await world.searchable("alone", picture(50))
    group_by = sp.SearchProductsRequest.GROUP_BY_PARENT
    answer = await search(world, by_photo(picture(1), group_by=group_by))
    assert sorted(each.parent for each in answer.results) == ["", "shirt"]
    shirt = next(each for each in answer.results if each.parent)
    assert shirt.sku == "shirt-1"
    assert len(shirt.hits) == 3
    assert len({each.image.rsplit("/", 3)[1] for each in shirt.hits}) == 3


async def test_filters_and_thresholds_reach_the_collection(world: World) -> None:
    await world.catalog()
    for number in range(4):
        category = "Drinks > Juice" if number % 2 else "Food"
        await world.searchable(f"p-{number}", picture(number), categories=[category])
    drinks = by_photo(picture(0), filter=sp.SearchFilter(categories=["Drinks"]))
    assert sorted(skus(await search(world, drinks))) == ["p-1", "p-3"]
    near = by_photo(picture(0), score_threshold=0.999)
    assert skus(await search(world, near)) == ["p-0"]
    bad = by_photo(picture(0), filter=sp.SearchFilter(ranges=[sp.NumericRange(field="size")]))
    assert await refused(search(world, bad)) == ("INVALID_ARGUMENT", "UNKNOWN_FILTER_FIELD")


async def test_pages_make_up_the_ranked_list(world: World) -> None:
    await world.catalog()
    for number in range(9):
        await world.searchable(f"p-{number}", picture(number))
    whole = await search(world, by_photo(picture(3), top_k=8))
    paged: list[str] = []
    request = by_photo(picture(3), top_k=8, page_size=3)
    sizes = []
    while True:
        answer = await search(world, request)
        paged += skus(answer)
        sizes.append(len(answer.results))
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert (paged, sizes) == (skus(whole), [3, 3, 2])
    request.photo = picture(4)
    assert await refused(search(world, request)) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


async def test_a_slow_embedder_does_not_pass_the_deadline(world: World) -> None:
    await world.catalog()
    world.embedder.delay = 30
    start = time.perf_counter()
    call = world.search.SearchProducts(by_photo(picture(1)), timeout=0.6)
    # A reason in the status shows that the server answered, not the client's own clock.
    assert await refused(call) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    assert time.perf_counter() - start < 0.6


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"photo": b"no picture"}, "IMAGE_FORMAT_UNSUPPORTED"),
        ({"photo": picture(1)[:8] + bytes(7 << 20)}, "IMAGE_TOO_LARGE"),
        ({}, "QUERY_MISSING"),
        ({"embedding": sp.Embedding(values=[1.0])}, "DIMENSION_MISMATCH"),
        ({"embedding": sp.Embedding(values=[0.0] * DIMENSION)}, "EMBEDDING_ZERO"),
        ({"embedding": sp.Embedding(values=[float("nan")] * DIMENSION)}, "EMBEDDING_NOT_FINITE"),
        ({"image": f"catalogs/other/products/a/images/{'0' * 64}"}, "OTHER_CATALOG"),
        ({"photo": picture(1), "top_k": -1}, "OUT_OF_RANGE"),
        ({"photo": picture(1), "top_k": 501}, "OUT_OF_RANGE"),
        ({"photo": picture(1), "hits_per_result": 51}, "OUT_OF_RANGE"),
        ({"photo": picture(1), "page_size": -1}, "PAGE_SIZE_NEGATIVE"),
    ],
)
async def test_a_bad_query_is_refused_with_a_reason(
    world: World, fields: dict[str, object], reason: str
) -> None:
    await world.catalog()
    request = sp.SearchProductsRequest(parent="catalogs/shop", **fields)  # type: ignore[arg-type]
    assert await refused(search(world, request)) == ("INVALID_ARGUMENT", reason)


async def test_an_image_that_is_not_indexed_yet_cannot_be_searched_for(world: World) -> None:
    await world.catalog()
    product = await world.product("a")
    image = await world.image(product.name, picture(1))
    request = sp.SearchProductsRequest(parent="catalogs/shop", image=image.name)
    assert await refused(search(world, request)) == ("FAILED_PRECONDITION", "IMAGE_NOT_SEARCHABLE")
    await world.catalogs.DeleteImage(pb.DeleteImageRequest(name=image.name))
    assert await refused(search(world, request)) == ("NOT_FOUND", "IMAGE_NOT_FOUND")


async def test_a_search_needs_its_catalogue(world: World) -> None:
    call = search(world, by_photo(picture(1)))
    assert await refused(call) == ("NOT_FOUND", "CATALOG_NOT_FOUND")


async def test_a_catalogue_without_products_answers_with_nothing(world: World) -> None:
    await world.catalog()
    answer = await search(world, by_photo(picture(1)))
    assert not answer.results
    assert not answer.truncated
    assert not answer.HasField("index_time")


async def test_an_answer_says_when_a_thousand_candidates_were_too_few(world: World) -> None:
    await world.catalog()
    await world.product("many")
    with world.records.begin(write=True) as tx:
        collection = tx.catalogs.deployment("shop").collection
        hashes = [f"{number:064x}" for number in range(1_001)]
        for sha256 in hashes:
            tx.products.add_image("shop", "many", sha256, 2, datetime.now(UTC))
    world.vectors.ensure_collection(CollectionSpec(collection, DIMENSION))
    payload = {"product": "many", "sku": "many", "parent": "", "categories": []}
    near = embedding_of(picture(1))
    points = [Point(each, near, payload | {"sha256": each}) for each in hashes]
    world.vectors.upsert(collection, points)
    answer = await search(world, by_photo(picture(1), top_k=2))
    assert skus(answer) == ["many"]
    assert answer.truncated
    assert world.vectors.limits == [20, 80, 320, 1000]
