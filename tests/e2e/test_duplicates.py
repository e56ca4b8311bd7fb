"""Pictures that show the same, through a real server: folded, withheld, and back again."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from services.coordinator.settings import CoordinatorLimits
from shelflens import Client
from shelflens.names import product_name
from tests.e2e.shop import Shop, write_manifest
from tests.local_server import PROGRAM, LocalServer
from tests.waiting import eventually

MOST = CoordinatorLimits().products_per_image
PRODUCTS = 6


@pytest.fixture(scope="module")
def copied(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of products with a packshot, two copies of it, and the picture of another."""
    root = tmp_path_factory.mktemp("copied")
    rows = []
    for number, row in enumerate(shop.rows()[:PRODUCTS]):
        names = [f"{number}-{kind}.jpg" for kind in ("first", "small", "poor", "other")]
        with (
            Image.open(shop.image(row)) as picture,
            Image.open(shop.image(shop.rows()[-1 - number])) as other,
        ):
            picture.save(root / names[0], quality=92)
            picture.resize((240, 240), Image.Resampling.LANCZOS).save(root / names[1])
            picture.save(root / names[2], quality=40)
            other.save(root / names[3], quality=90)
        rows.append({"sku": row["sku"], "title": row["title"], "image": "|".join(names)})
    return write_manifest(root / "products.csv", rows)


def states(client: Client, catalog: str, sku: str) -> dict[str, str]:
    """File name -> state of a product's images."""
    images = client.list_images(product_name(f"{catalog}/{sku}"))
    return {Path(each.source).name: each.state for each in images}


def first_skus(shop: Shop) -> list[str]:
    return [row["sku"] for row in shop.rows()[:PRODUCTS]]


def test_copies_of_a_photo_are_folded_and_other_pictures_are_not(
    client: Client, shop: Shop, copied: Path
) -> None:
    counts = client.import_products("fold", copied, fold_duplicates=True).raise_for_error().counts
    assert (counts.images_folded, counts.rows_accepted) == (2 * PRODUCTS, PRODUCTS)
    for number, sku in enumerate(first_skus(shop)):
        assert states(client, "fold", sku) == {
            f"{number}-first.jpg": "SEARCHABLE",
            f"{number}-small.jpg": "FOLDED",
            f"{number}-poor.jpg": "FOLDED",
            f"{number}-other.jpg": "SEARCHABLE",
        }
        found = client.search("fold", copied.parent / f"{number}-small.jpg", hits_per_result=9)
        best = found.results[0]
        assert best.sku == sku
        assert len(best.hits) == 2


def test_importing_copies_again_flips_nothing_and_without_the_flag_all_are_found(
    client: Client, shop: Shop, copied: Path
) -> None:
    client.import_products("again", copied, fold_duplicates=True).raise_for_error()
    before = [states(client, "again", sku) for sku in first_skus(shop)]
    counts = client.import_products("again", copied, fold_duplicates=True).raise_for_error().counts
    assert (counts.images_folded, counts.points_indexed) == (2 * PRODUCTS, 0)
    assert [states(client, "again", sku) for sku in first_skus(shop)] == before
    counts = client.import_products("again", copied).raise_for_error().counts
    assert (counts.images_folded, counts.images_embedded) == (0, 0)
    after = [states(client, "again", sku) for sku in first_skus(shop)]
    assert all(set(each.values()) == {"SEARCHABLE"} for each in after)
    assert client.get_catalog("again").image_count == 4 * PRODUCTS


@pytest.mark.parametrize("how", ["delete", "erase"])
def test_a_folded_image_takes_the_place_of_one_that_is_removed(
    client: Client, shop: Shop, copied: Path, how: str
) -> None:
    place = f"place-{how}"
    client.import_products(place, copied, fold_duplicates=True).raise_for_error()
    sku = first_skus(shop)[0]
    (first,) = (
        each.name
        for each in client.list_images(product_name(f"{place}/{sku}"))
        if each.source.endswith("first.jpg")
    )
    if how == "delete":
        client.delete_image(first)
    else:
        client.wait_operation(client.erase(first).name, timeout=60).raise_for_error()
    eventually(
        lambda: states(client, place, sku)["0-small.jpg"] == "SEARCHABLE", 30, "it comes back"
    )
    assert states(client, place, sku)["0-poor.jpg"] == "FOLDED"


def shared(root: Path, shop: Shop, name: str, skus: Sequence[str]) -> Path:
    """A manifest of products that all have one picture; every third has one of its own."""
    rows: list[Mapping[str, str]] = []
    for number, sku in enumerate(skus):
        images = [shop.image(shop.rows()[0]), shop.image(shop.rows()[1 + number // 3])]
        names = [str(each.relative_to(shop.root)) for each in images[: 1 + (number % 3 == 0)]]
        rows.append({"sku": sku, "title": sku, "image": "|".join(names)})
    return write_manifest(shop.root / f"{root.name}-{name}.csv", rows)


def test_a_picture_of_too_many_products_is_withheld_reported_and_comes_back(
    client: Client, server: LocalServer, shop: Shop, tmp_path: Path
) -> None:
    skus = [f"sku-{number:02d}" for number in range(MOST + 1)]
    nothing = shop.image(shop.rows()[0])
    few = client.import_products("many", shared(tmp_path, shop, "few", skus[:-1]))
    assert few.raise_for_error().counts.images_withheld == 0
    assert len(client.search("many", nothing, top_k=100, threshold=0.99).results) == MOST

    all_of_them = shared(tmp_path, shop, "all", skus)
    operation = client.import_products("many", all_of_them).raise_for_error()
    assert (operation.counts.images_withheld, operation.counts.rows_rejected) == (MOST + 1, 0)
    assert operation.counts.rejected_by_reason == {"IMAGE_SHARED_BY_MANY": MOST + 1}
    assert [each.row for each in operation.rejections] == list(range(1, MOST + 2))
    assert not any(each.row_rejected for each in operation.rejections)
    assert client.search("many", nothing, top_k=100, threshold=0.99).results == ()
    assert client.get_catalog("many").product_count == MOST + 1
    assert "WITHHELD" in set(states(client, "many", skus[1]).values())
    listed = subprocess.run(
        [PROGRAM, "images", "list", f"many/{skus[0]}"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"SHELFLENS_TARGET": server.target},
    ).stdout
    assert "WITHHELD" in listed
    assert "SEARCHABLE" in listed

    again = client.import_products("many", all_of_them).raise_for_error().counts
    assert (again.images_withheld, again.points_indexed) == (MOST + 1, 0)

    client.delete_product(product_name(f"many/{skus[-1]}"))
    last = client.import_products("many", shared(tmp_path, shop, "last", skus[:-1]))
    assert last.raise_for_error().counts.images_withheld == 0
    assert len(client.search("many", nothing, top_k=100, threshold=0.99).results) == MOST


def test_the_operator_says_how_many_products_may_share_a_picture(
    shop: Shop, tmp_path: Path
) -> None:
    with LocalServer(tmp_path / "data", "--products-per-image", "2") as server:
        manifest = shared(tmp_path, shop, "three", ["a", "b", "c"])
        with server.client() as client:
            counts = client.import_products("three", manifest).raise_for_error().counts
    assert (counts.images_withheld, counts.rows_rejected) == (3, 0)
