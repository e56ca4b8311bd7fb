"""Images, contents and manifests through the API."""

import asyncio
import hashlib
from collections.abc import Iterator
from itertools import pairwise

import pytest

from services.core.domain import keys
from services.gateway.settings import GatewayLimits
from shelflens.v1 import catalogs_pb2 as pb
from tests.unit.gateway_doubles import picture
from tests.unit.test_gateway_world import World, refused, uuid4

pytest_plugins = ("tests.unit.test_gateway_world",)
LARGEST = GatewayLimits().image.max_bytes


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_an_uploaded_image_is_pending_and_its_bytes_come_back(world: World) -> None:
    await world.catalog()
    product = await world.product("a")
    data = picture(1) + bytes(3_000_000)
    image = await world.image(product.name, data)
    assert image.sha256 == sha256_of(data)
    assert image.state == pb.Image.STATE_PENDING
    pieces = [
        each.data
        async for each in world.catalogs.DownloadImage(pb.DownloadImageRequest(name=image.name))
    ]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 1 << 20
    with world.records.begin() as tx:
        operation = tx.operations.get(world.queue.messages[-1].operation)
    assert operation.request == {"products": ["a"], "embed": [image.sha256]}


async def test_the_same_image_again_changes_nothing(world: World) -> None:
    await world.catalog()
    product = await world.product("a")
    first = await world.image(product.name, picture(1))
    assert await world.image(product.name, picture(1)) == first
    assert len(world.queue.messages) == 1


async def test_a_repeated_upload_gets_the_first_answer(world: World) -> None:
    await world.catalog()
    product = await world.product("a")
    request_id = uuid4()
    first = await world.image(product.name, picture(1), request_id)
    await world.catalogs.DeleteImage(pb.DeleteImageRequest(name=first.name))
    assert await world.image(product.name, picture(1), request_id) == first
    await world.catalogs.DeleteProduct(pb.DeleteProductRequest(name=product.name))
    assert await world.image(product.name, picture(1), request_id) == first
    other = world.image(product.name, picture(2), request_id)
    assert await refused(other) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def test_an_image_needs_its_product(world: World) -> None:
    await world.catalog()
    call = world.image("catalogs/shop/products/none", picture(1))
    assert await refused(call) == ("NOT_FOUND", "PRODUCT_NOT_FOUND")


async def test_bytes_that_are_no_picture_are_refused_at_once(world: World) -> None:
    await world.catalog()
    product = await world.product("a")
    code, reason = await refused(world.image(product.name, b"GIF89a or anything else"))
    assert (code, reason) == ("INVALID_ARGUMENT", "IMAGE_FORMAT_UNSUPPORTED")


async def test_bytes_that_a_worker_refused_are_refused_again(world: World) -> None:
    await world.catalog()
    product = await world.product("a")
    with world.records.begin(write=True) as tx:
        tx.embeddings.refuse({sha256_of(picture(1)): "IMAGE_TRUNCATED"})
    call = world.image(product.name, picture(1))
    assert await refused(call) == ("INVALID_ARGUMENT", "IMAGE_TRUNCATED")


async def test_an_image_that_is_too_large_is_refused(world: World) -> None:
    await world.catalog()
    product = await world.product("a")
    piece = bytes(1 << 20)
    requests = [pb.UploadImageRequest(parent=product.name, data=picture(1))]
    requests += [pb.UploadImageRequest(data=piece)] * (LARGEST // len(piece))
    call = world.catalogs.UploadImage(iter(requests))
    assert await refused(call) == ("INVALID_ARGUMENT", "IMAGE_TOO_LARGE")


async def test_a_stream_without_messages_is_refused(world: World) -> None:
    call = world.catalogs.UploadImage(iter([]))
    assert await refused(call) == ("INVALID_ARGUMENT", "STREAM_EMPTY")


async def test_images_are_listed_page_by_page(world: World) -> None:
    await world.catalog()
    product = await world.product("a")
    made = [await world.image(product.name, picture(number)) for number in range(3)]
    first = await world.catalogs.ListImages(pb.ListImagesRequest(parent=product.name, page_size=2))
    second = await world.catalogs.ListImages(
        pb.ListImagesRequest(parent=product.name, page_size=2, page_token=first.next_page_token)
    )
    listed = [each.name for each in (*first.images, *second.images)]
    assert listed == sorted(each.name for each in made)
    assert second.next_page_token == ""


def contents(*images: tuple[str, bytes], cut: int = 700) -> Iterator[pb.UploadContentsRequest]:
    yield pb.UploadContentsRequest(parent="catalogs/shop")
    for sha256, data in images:
        edges = [*range(0, len(data), cut), len(data)]
        for start, end in pairwise(edges):
            last = end == len(data)
            yield pb.UploadContentsRequest(sha256=sha256, data=data[start:end], last=last)


async def test_one_bad_image_does_not_end_a_stream_of_contents(world: World) -> None:
    await world.catalog()
    good = [picture(number) + bytes(2_000) for number in range(3)]
    answer = await world.catalogs.UploadContents(
        contents(
            (sha256_of(good[0]), good[0]),
            ("0" * 64, b"other bytes"),
            ("not even a hash", b"x"),
            (sha256_of(good[1]), good[1]),
            (sha256_of(b""), bytes(LARGEST + 1)),
            (sha256_of(good[2]), good[2]),
            cut=1 << 20,
        )
    )
    assert answer.stored_count == 3
    refusals = {each.sha256: each.reason for each in answer.refusals}
    assert refusals == {
        "0" * 64: "DIGEST_MISMATCH",
        "not even a hash": "DIGEST_MISMATCH",
        sha256_of(b""): "IMAGE_TOO_LARGE",
    }
    ask = pb.FindMissingContentsRequest(
        parent="catalogs/shop", sha256s=[sha256_of(each) for each in good]
    )
    assert not (await world.catalogs.FindMissingContents(ask)).missing_sha256s


async def test_another_hash_starts_another_image(world: World) -> None:
    await world.catalog()
    requests = list(contents((sha256_of(b"one"), b"one"), (sha256_of(b"two"), b"two"), cut=1))
    for each in requests:
        each.last = False
    assert (await world.catalogs.UploadContents(iter(requests))).stored_count == 2


@pytest.mark.parametrize(
    ("sha256s", "reason"), [(["x"], "INVALID_DIGEST"), (["0" * 64] * 1001, "TOO_MANY_VALUES")]
)
async def test_find_missing_checks_its_hashes(
    world: World, sha256s: list[str], reason: str
) -> None:
    await world.catalog()
    ask = pb.FindMissingContentsRequest(parent="catalogs/shop", sha256s=sha256s)
    call = world.catalogs.FindMissingContents(ask)
    assert await refused(call) == ("INVALID_ARGUMENT", reason)


async def test_uploads_need_their_catalogue(world: World) -> None:
    call = world.catalogs.UploadContents(contents((sha256_of(b"x"), b"x")))
    assert await refused(call) == ("NOT_FOUND", "CATALOG_NOT_FOUND")
    manifest = pb.UploadManifestRequest(parent="catalogs/shop", data=b"{}")
    other = world.catalogs.UploadManifest(iter([manifest]))
    assert await refused(other) == ("NOT_FOUND", "CATALOG_NOT_FOUND")


async def test_a_manifest_whose_client_goes_away_is_not_stored(world: World) -> None:
    await world.catalog()
    call = world.catalogs.UploadManifest()
    for _ in range(3):
        await call.write(pb.UploadManifestRequest(parent="catalogs/shop", data=bytes(1 << 19)))
    call.cancel()
    with pytest.raises(BaseException):  # noqa: B017, PT011 - cancelled, whichever way
        await call
    await asyncio.sleep(0.2)  # time enough to store it by mistake
    assert list(world.objects.keys("manifests/")) == []


async def test_an_import_needs_a_manifest_of_its_catalogue(world: World) -> None:
    await world.catalog()
    await world.catalog("other")
    lines = pb.UploadManifestRequest(parent="catalogs/other", data=b"{}\n")
    manifest = await world.catalogs.UploadManifest(iter([lines]))
    for name in (manifest.name, "catalogs/shop/manifests/none"):
        call = world.catalogs.ImportProducts(
            pb.ImportProductsRequest(parent="catalogs/shop", manifest=name)
        )
        assert await refused(call) == ("NOT_FOUND", "MANIFEST_NOT_FOUND")


async def test_large_manifests_arrive_whole(world: World) -> None:
    await world.catalog()
    pieces = [bytes([number]) * 300_000 for number in range(20)]
    requests = (pb.UploadManifestRequest(parent="catalogs/shop", data=each) for each in pieces)
    manifest = await world.catalogs.UploadManifest(requests)
    key = keys.manifest_key("shop", manifest.name.rpartition("/")[2])
    assert world.objects.get(key) == b"".join(pieces)
    assert manifest.size_bytes == 6_000_000
