"""Feedback through the API: what is noted, and which photos are kept for how long."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from services.core.domain import keys
from services.core.domain.stages import Folding, Stages
from services.gateway.handlers.feedback_tokens import Answered, write_token
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import search_pb2 as sp
from tests.unit.gateway_doubles import MODEL_DIGEST, picture
from tests.unit.test_gateway_world import World, refused, uuid4

pytest_plugins = ("tests.unit.test_gateway_world",)

PHOTO = picture(1)
SHA256 = hashlib.sha256(PHOTO).hexdigest()
KEY = keys.feedback_photo_key("shop", SHA256)
RIGHT, WRONG = "catalogs/shop/products/right", "catalogs/shop/products/wrong"
INVALID = "INVALID_ARGUMENT"


def token(photo: bytes = PHOTO, catalog: str = "shop", stages: Stages | None = None) -> str:
    sha256 = hashlib.sha256(photo).hexdigest()
    return write_token(Answered(catalog, MODEL_DIGEST, (stages or Stages()).key, sha256))


def about(product: object = RIGHT, **fields: object) -> sp.RecordFeedbackRequest:
    values: dict[str, object] = {"parent": "catalogs/shop", "product": product}
    values["feedback_token"] = token()
    return sp.RecordFeedbackRequest(**values | fields)  # type: ignore[arg-type]


async def stocked(world: World, days: int = 0) -> None:
    """A catalogue of two products that keeps photos for so many days."""
    await world.catalog()
    for sku in ("right", "wrong"):
        await world.product(sku)
    if days:
        await keep_photos(world, days)


async def keep_photos(world: World, days: int) -> pb.Catalog:
    catalog = pb.Catalog(name="catalogs/shop", feedback_photo_days=days)
    mask = FieldMask(paths=["feedback_photo_days"])
    request = pb.UpdateCatalogRequest(catalog=catalog, update_mask=mask)
    return await world.catalogs.UpdateCatalog(request)


async def listed(world: World, **fields: object) -> sp.ListFeedbackResponse:
    request = sp.ListFeedbackRequest(parent="catalogs/shop", **fields)  # type: ignore[arg-type]
    return await world.search.ListFeedback(request)


async def downloaded(world: World, name: str) -> bytes:
    request = sp.DownloadFeedbackPhotoRequest(name=name)
    return b"".join([each.data async for each in world.search.DownloadFeedbackPhoto(request)])


def stored_photos(world: World) -> list[str]:
    return list(world.objects.keys("feedback/"))


async def test_feedback_on_an_answer_says_what_the_answer_was_made_with(world: World) -> None:
    await world.catalog()
    await world.searchable("right", PHOTO)
    query = sp.SearchProductsRequest(parent="catalogs/shop", photo=PHOTO)
    found = await world.search.SearchProducts(query)
    best = found.results[0]
    request = about(best.product, image=best.image, right=True, feedback_token=found.feedback_token)
    made = await world.search.RecordFeedback(request)
    assert made.name.startswith("catalogs/shop/feedback/")
    assert (made.product, made.image, made.right) == (best.product, best.image, True)
    assert (made.photo_sha256, made.model_digest) == (SHA256, MODEL_DIGEST)
    assert made.stages == sp.RankingStages()
    age = datetime.now(UTC) - made.create_time.ToDatetime(UTC)
    assert timedelta() <= age < timedelta(minutes=1)
    assert not made.HasField("photo_expire_time")
    assert list((await listed(world)).feedback) == [made]


async def test_a_wrong_result_may_come_with_the_right_one(world: World) -> None:
    await stocked(world)
    request = about(
        WRONG, expected_product=RIGHT, feedback_token=token(stages=Stages(fold=Folding()))
    )
    made = await world.search.RecordFeedback(request)
    assert (made.product, made.right, made.expected_product) == (WRONG, False, RIGHT)
    assert made.stages.fold.similarity == 0.99
    assert made.image == ""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"feedback_token": "x"}, (INVALID, "FEEDBACK_TOKEN_INVALID")),
        ({"feedback_token": token(catalog="beside")}, (INVALID, "OTHER_CATALOG")),
        ({"parent": "catalogs/beside"}, (INVALID, "OTHER_CATALOG")),
        ({"product": "catalogs/beside/products/right"}, (INVALID, "OTHER_CATALOG")),
        ({"expected_product": "catalogs/beside/products/right"}, (INVALID, "OTHER_CATALOG")),
        ({"product": "right"}, (INVALID, "INVALID_NAME")),
        ({"image": f"{WRONG}/images/{SHA256}"}, (INVALID, "OTHER_PRODUCT")),
        ({"image": f"{RIGHT}/images/x"}, (INVALID, "INVALID_DIGEST")),
        ({"product": "catalogs/shop/products/none"}, ("NOT_FOUND", "PRODUCT_NOT_FOUND")),
        ({"expected_product": "catalogs/shop/products/none"}, ("NOT_FOUND", "PRODUCT_NOT_FOUND")),
        ({"right": True, "expected_product": WRONG}, (INVALID, "FEEDBACK_CONTRADICTORY")),
        ({"expected_product": RIGHT}, (INVALID, "FEEDBACK_CONTRADICTORY")),
        ({"request_id": "x"}, (INVALID, "REQUEST_ID_INVALID")),
    ],
)
async def test_what_does_not_fit_the_answer_or_the_catalogue_is_refused(
    world: World, fields: dict[str, object], expected: tuple[str, str]
) -> None:
    await stocked(world)
    assert await refused(world.search.RecordFeedback(about(**fields))) == expected
    assert not (await listed(world)).feedback


async def test_there_is_no_feedback_on_a_catalogue_that_does_not_exist(world: World) -> None:
    nowhere = ("NOT_FOUND", "CATALOG_NOT_FOUND")
    assert await refused(world.search.RecordFeedback(about())) == nowhere
    assert await refused(listed(world)) == nowhere
    name = "catalogs/shop/feedback/x"
    assert await refused(downloaded(world, name)) == nowhere


async def test_a_repeat_gets_the_first_answer_and_is_noted_once(world: World) -> None:
    await stocked(world, days=3)
    request = about(photo=PHOTO, right=True, request_id=uuid4())
    first = await world.search.RecordFeedback(request)
    await world.catalogs.DeleteProduct(pb.DeleteProductRequest(name=RIGHT))
    assert await world.search.RecordFeedback(request) == first
    assert len((await listed(world)).feedback) == 1
    request.right = False
    call = world.search.RecordFeedback(request)
    assert await refused(call) == (INVALID, "REQUEST_ID_REUSED")


async def test_pages_are_oldest_first_and_hold_all(world: World) -> None:
    await stocked(world)
    made = [await world.search.RecordFeedback(about(right=n % 2 == 0)) for n in range(5)]
    seen: list[sp.Feedback] = []
    token = ""
    while not seen or token:
        page = await listed(world, page_size=2, page_token=token)
        assert len(page.feedback) <= 2
        seen += page.feedback
        token = page.next_page_token
    assert seen == made


async def test_a_photo_is_not_kept_unless_its_catalogue_says_so(world: World) -> None:
    await stocked(world)
    made = await world.search.RecordFeedback(about(photo=PHOTO))
    assert not made.HasField("photo_expire_time")
    assert stored_photos(world) == []
    assert await refused(downloaded(world, made.name)) == ("NOT_FOUND", "PHOTO_NOT_KEPT")


async def test_a_photo_is_kept_for_the_days_that_the_catalogue_says(world: World) -> None:
    await stocked(world, days=30)
    made = await world.search.RecordFeedback(about(photo=PHOTO))
    kept_for = made.photo_expire_time.ToDatetime(UTC) - made.create_time.ToDatetime(UTC)
    assert kept_for == timedelta(days=30)
    assert stored_photos(world) == [KEY]
    assert await downloaded(world, made.name) == PHOTO
    without = await world.search.RecordFeedback(about())
    assert not without.HasField("photo_expire_time")
    assert await refused(downloaded(world, without.name)) == ("NOT_FOUND", "PHOTO_NOT_KEPT")


async def test_only_the_photo_of_the_answer_is_kept_and_only_a_picture(world: World) -> None:
    await stocked(world, days=30)
    other = world.search.RecordFeedback(about(photo=picture(2)))
    assert await refused(other) == (INVALID, "PHOTO_DIFFERS")
    text = b"<script>alert(1)</script>"
    call = world.search.RecordFeedback(about(photo=text, feedback_token=token(text)))
    assert await refused(call) == (INVALID, "IMAGE_FORMAT_UNSUPPORTED")
    cut = PHOTO[:20]
    call = world.search.RecordFeedback(about(photo=cut, feedback_token=token(cut)))
    assert await refused(call) == (INVALID, "IMAGE_TRUNCATED")
    assert stored_photos(world) == []
    assert not (await listed(world)).feedback


async def test_a_photo_that_has_expired_is_not_shown_even_before_it_is_removed(
    world: World,
) -> None:
    await stocked(world, days=30)
    made = await world.search.RecordFeedback(about(photo=PHOTO))
    assert (await keep_photos(world, 0)).feedback_photo_days == 0
    assert stored_photos(world) == [KEY]  # until the coordinator's next look
    assert await refused(downloaded(world, made.name)) == ("NOT_FOUND", "PHOTO_NOT_KEPT")
    assert len((await listed(world)).feedback) == 1


async def test_a_photo_that_went_with_older_feedback_is_there_again(world: World) -> None:
    await stocked(world, days=30)
    await world.search.RecordFeedback(about(photo=PHOTO))
    world.objects.delete(KEY)
    made = await world.search.RecordFeedback(about(photo=PHOTO))
    assert await downloaded(world, made.name) == PHOTO


async def test_feedback_of_another_catalogue_is_not_found(world: World) -> None:
    await stocked(world)
    await world.catalog("beside")
    made = await world.search.RecordFeedback(about())
    name = made.name.replace("shop", "beside")
    assert await refused(downloaded(world, name)) == ("NOT_FOUND", "FEEDBACK_NOT_FOUND")
    request = sp.ListFeedbackRequest(parent="catalogs/beside")
    assert not (await world.search.ListFeedback(request)).feedback


async def test_how_long_photos_are_kept_is_a_field_of_the_catalogue(world: World) -> None:
    request = pb.CreateCatalogRequest(
        catalog_id="shop", catalog=pb.Catalog(display_name="Shop", feedback_photo_days=7)
    )
    made = await world.catalogs.CreateCatalog(request)
    assert made.feedback_photo_days == 7
    changed = await keep_photos(world, 3_650)
    assert (changed.feedback_photo_days, changed.display_name) == (3_650, "Shop")
    renamed = pb.Catalog(name="catalogs/shop", display_name="New")
    after = await world.catalogs.UpdateCatalog(pb.UpdateCatalogRequest(catalog=renamed))
    assert (after.feedback_photo_days, after.display_name) == (3_650, "New")
    for days in (-1, 3_651):
        assert await refused(keep_photos(world, days)) == (INVALID, "PHOTO_DAYS_OUT_OF_RANGE")
        bad = pb.CreateCatalogRequest(
            catalog_id="bad", catalog=pb.Catalog(feedback_photo_days=days)
        )
        call = world.catalogs.CreateCatalog(bad)
        assert await refused(call) == (INVALID, "PHOTO_DAYS_OUT_OF_RANGE")
