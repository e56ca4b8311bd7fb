"""From a manifest and its images to search results, through a real server and the SDK."""

import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from shelflens import Client
from shelflens.errors import NotFound
from shelflens.names import image_name, product_name
from shelflens.values import Operation
from tests.e2e.shop import PRODUCTS, Shop, skus, vary_shop, write_manifest

CATALOG = "read"
HIT_RATE = 0.8  # of customers' photos within ten results; chance is 1 in 6


@pytest.fixture(scope="module")
def imported(client: Client, shop: Shop) -> Operation:
    """The import of the rendered shop into `CATALOG`; its tests only read from there."""
    return client.import_products(CATALOG, shop.manifest)


@pytest.fixture
def own(client: Client, shop: Shop, request: pytest.FixtureRequest) -> Iterator[str]:
    """A catalogue of the test's own, with the rendered shop in it, deleted afterwards."""
    catalog = f"own-{zlib.crc32(request.node.name.encode()):08x}"
    client.import_products(catalog, shop.manifest).raise_for_error()
    yield catalog
    client.wait_operation(client.delete_catalog(catalog, force=True).name, timeout=60)


def test_an_import_succeeds_and_its_counts_add_up(client: Client, imported: Operation) -> None:
    counts = imported.counts
    assert (imported.state, imported.done, imported.error) == ("SUCCEEDED", True, None)
    assert imported.total_rows == counts.rows_read == counts.rows_accepted == PRODUCTS
    assert counts.products_created == counts.points_indexed == PRODUCTS
    assert counts.images_embedded + counts.images_reused == PRODUCTS
    assert counts.rows_rejected == counts.images_refused == 0
    assert counts.products_updated == counts.products_unchanged == counts.images_removed == 0
    assert imported.rejections == ()
    catalog = client.get_catalog(CATALOG)
    assert (catalog.product_count, catalog.image_count) == (PRODUCTS, PRODUCTS)


def test_an_image_is_embedded_once_whatever_catalogue_holds_it(
    client: Client, shop: Shop, tmp_path: Path
) -> None:
    fresh = vary_shop(shop, tmp_path / "fresh", rows_per_product=1, seed=2)
    first = client.import_products("first", fresh.manifest).raise_for_error().counts
    assert (first.images_embedded, first.images_reused) == (2 * PRODUCTS, 0)
    second = client.import_products("second", fresh.manifest).raise_for_error().counts
    assert (second.images_embedded, second.images_reused) == (0, 2 * PRODUCTS)
    assert second.points_indexed == first.points_indexed == 2 * PRODUCTS


@pytest.mark.usefixtures("imported")
def test_every_field_of_the_manifest_is_stored(client: Client, shop: Shop) -> None:
    stored = {each.sku: each for each in client.list_products(CATALOG, page_size=17)}
    assert sorted(stored) == skus(shop.rows())
    for row in shop.rows():
        product = stored[row["sku"]]
        assert product.name == product_name(f"{CATALOG}/{row['sku']}")
        assert product.title == row["title"]
        assert product.categories == (row["category"],)
        assert product.labels == tuple(row["labels"].split("|"))
        assert product.parent == row["parent"]
        assert product.price == pytest.approx(float(row["price"]))
        assert product.stock == float(row["stock"])
        assert product.image_count == 1


@pytest.mark.usefixtures("imported")
def test_customers_photos_find_their_product(client: Client, shop: Shop) -> None:
    found = 0
    for photo, sku in shop.photos:
        results = client.search(CATALOG, photo, top_k=10).results
        found += sku in [each.sku for each in results]
    assert found >= HIT_RATE * len(shop.photos)


@pytest.mark.usefixtures("imported")
def test_every_packshot_finds_itself_first(client: Client, shop: Shop) -> None:
    for row in shop.rows():
        best, *others = client.search(CATALOG, shop.image(row), top_k=5).results
        assert (best.sku, best.title) == (row["sku"], row["title"])
        assert best.score > 0.999
        assert all(other.score <= best.score for other in others)


@pytest.mark.usefixtures("imported")
def test_a_stored_image_searches_by_its_name(client: Client, shop: Shop) -> None:
    row = shop.rows()[7]
    by_photo = client.search(CATALOG, shop.image(row), top_k=5).results
    by_name = client.search(CATALOG, image=by_photo[0].image, top_k=5).results
    assert [each.image for each in by_name] == [each.image for each in by_photo]
    assert by_name[0].score > 0.9999


@pytest.mark.usefixtures("imported")
def test_an_image_name_of_nothing_is_not_found(client: Client, shop: Shop) -> None:
    missing = image_name(f"{CATALOG}/{shop.rows()[0]['sku']}/{'0' * 64}")
    with pytest.raises(NotFound) as raised:
        client.search(CATALOG, image=missing)
    assert raised.value.reason == "IMAGE_NOT_FOUND"


def test_importing_again_changes_and_embeds_nothing(client: Client, shop: Shop, own: str) -> None:
    before = list(client.list_products(own))
    counts = client.import_products(own, shop.manifest).raise_for_error().counts
    assert counts.products_unchanged == counts.images_reused == PRODUCTS
    assert counts.products_created == counts.products_updated == 0
    assert counts.images_embedded == counts.images_removed == counts.points_indexed == 0
    assert list(client.list_products(own)) == before


def test_a_changed_price_is_filtered_by_and_nothing_is_embedded(
    client: Client, shop: Shop, own: str
) -> None:
    rows = shop.rows()
    dear = rows[11] | {"price": "4711.50"}
    changed = write_manifest(shop.root / f"{own}.csv", [*rows[:11], dear, *rows[12:]])
    counts = client.import_products(own, changed).raise_for_error().counts
    assert (counts.products_updated, counts.products_unchanged) == (1, PRODUCTS - 1)
    assert (counts.images_embedded, counts.images_reused) == (0, PRODUCTS)
    response = client.search(own, shop.image(dear), min_price=4711.0, max_price=4712.0)
    assert [(each.sku, each.price) for each in response.results] == [(dear["sku"], 4711.5)]
    old = float(rows[11]["price"])
    cheap = client.search(own, shop.image(dear), min_price=old, max_price=old, top_k=500).results
    assert dear["sku"] not in [each.sku for each in cheap]


def test_a_deleted_product_vanishes_from_search_at_once(
    client: Client, shop: Shop, own: str
) -> None:
    row = shop.rows()[3]
    best = client.search(own, shop.image(row), top_k=1).results[0]
    client.delete_product(best.product)
    after = client.search(own, shop.image(row), top_k=500).results
    assert len(after) == PRODUCTS - 1
    assert best.product not in [each.product for each in after]
    with pytest.raises(NotFound):
        client.get_product(best.product)


def test_a_deleted_image_vanishes_from_search_at_once(client: Client, shop: Shop, own: str) -> None:
    row = shop.rows()[5]
    best = client.search(own, shop.image(row), top_k=1).results[0]
    client.delete_image(best.image)
    after = client.search(own, shop.image(row), top_k=500, hits_per_result=50).results
    assert len(after) == PRODUCTS - 1
    assert best.image not in [hit.image for each in after for hit in each.hits]
    assert client.get_product(best.product).image_count == 0


def test_a_reimported_product_is_found_again_after_its_deletion(
    client: Client, shop: Shop, own: str
) -> None:
    row = shop.rows()[9]
    best = client.search(own, shop.image(row), top_k=1).results[0]
    client.delete_product(best.product)
    counts = client.import_products(own, shop.manifest).raise_for_error().counts
    assert (counts.products_created, counts.images_embedded) == (1, 0)
    again = client.search(own, shop.image(row), top_k=1).results[0]
    assert again.product == best.product
    assert math.isclose(again.score, best.score, abs_tol=1e-5)


@pytest.mark.usefixtures("imported")
def test_a_photo_of_nothing_sold_scores_lower_than_one_of_a_product(
    client: Client, shop: Shop, tmp_path: Path
) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (400, 400), (90, 140, 90)).save(blank)
    nothing = client.search(CATALOG, blank, top_k=1).results[0].score
    photo, sku = shop.photos[0]
    own_score = client.search(CATALOG, photo, skus=[sku]).results[0].score
    assert nothing < own_score
