"""Images that are added one by one."""

import time
from pathlib import Path

import pytest

from shelflens import Client
from shelflens.errors import InvalidArgument, NotFound
from tests.e2e.shop import Shop, new_picture
from tests.waiting import eventually

CATALOG = "single"
PROMISED_SECONDS = 5.0


@pytest.fixture(scope="module", autouse=True)
def _catalog(client: Client) -> None:
    client.create_catalog(CATALOG)
    client.create_product(CATALOG, "A1", title="Tea")
    client.create_product(CATALOG, "B2", title="Juice")


def test_an_uploaded_image_is_found_within_five_seconds(client: Client, shop: Shop) -> None:
    picture = new_picture(shop, seed=11)
    image = client.upload_image(f"{CATALOG}/A1", picture)
    acknowledged = time.monotonic()
    best = eventually(
        lambda: client.search(CATALOG, picture, top_k=1, skus=["A1"]).results,
        60,
        "the uploaded image is found",
    )[0]
    assert time.monotonic() - acknowledged < PROMISED_SECONDS
    assert (best.image, best.title) == (image.name, "Tea")
    assert best.score > 0.9999
    eventually(lambda: client.get_image(image.name).state == "SEARCHABLE", 5, "its state says so")


def test_an_image_uploaded_twice_is_stored_once(client: Client, shop: Shop) -> None:
    picture = new_picture(shop, seed=12)
    first = client.upload_image(f"{CATALOG}/B2", picture)
    again = client.upload_image(f"{CATALOG}/B2", picture)
    assert again.name == first.name
    assert [each.name for each in client.list_images(f"{CATALOG}/B2")] == [first.name]


def test_bytes_that_are_no_picture_are_refused(client: Client) -> None:
    before = client.get_product(f"{CATALOG}/A1").image_count
    with pytest.raises(InvalidArgument) as raised:
        client.upload_image(f"{CATALOG}/A1", b"garbage" * 500)
    assert raised.value.reason == "IMAGE_FORMAT_UNSUPPORTED"
    assert client.get_product(f"{CATALOG}/A1").image_count == before


def test_a_photo_that_is_no_picture_is_refused(client: Client, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8\xff" + b"garbage" * 500)
    with pytest.raises(InvalidArgument) as raised:
        client.search(CATALOG, photo)
    assert raised.value.reason == "IMAGE_TRUNCATED"


def test_a_picture_that_breaks_off_is_refused_for_good(client: Client, shop: Shop) -> None:
    whole = new_picture(shop, seed=13)
    image = client.upload_image(f"{CATALOG}/B2", whole[: len(whole) * 2 // 3])
    refused = eventually(lambda: _refusal(client, image.name), 30, "the broken image is refused")
    assert refused == "IMAGE_TRUNCATED"
    assert client.search(CATALOG, whole, skus=["B2"], threshold=0.999).results == ()


def test_an_image_of_a_missing_product_is_not_found(client: Client, shop: Shop) -> None:
    with pytest.raises(NotFound) as raised:
        client.upload_image(f"{CATALOG}/NONE", new_picture(shop, seed=14))
    assert raised.value.reason == "PRODUCT_NOT_FOUND"


def _refusal(client: Client, image: str) -> str:
    found = client.get_image(image)
    assert found.state != "SEARCHABLE"
    return found.refusal
