"""The demo shop: its products, their pictures and what is written to disk."""

import csv
from itertools import groupby, islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.demo.assortment import KINDS
from services.demo.brands import make_brand
from services.demo.catalog import DemoProduct, make_products
from services.demo.flavours import FLAVOURS
from services.demo.packshot import render_cutout, render_packshot
from services.demo.photo import render_photo
from services.demo.writer import write_catalog

PRODUCTS = list(make_products(150))
SMALL = 160
TINY = 40


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), np.int16)


def one_of_each_shape() -> list[DemoProduct]:
    return list({product.shape: product for product in PRODUCTS}.values())


def test_product_i_does_not_depend_on_the_count() -> None:
    assert list(make_products(20)) == PRODUCTS[:20]


def test_another_seed_makes_other_products() -> None:
    titles = {product.title for product in make_products(50, seed=1)}
    assert len(titles & {product.title for product in PRODUCTS[:50]}) < 5


def test_skus_are_unique_over_10000_products() -> None:
    assert len({product.sku for product in make_products(10_000)}) == 10_000


def test_titles_are_unique_over_10000_products() -> None:
    assert len({product.title for product in make_products(10_000)}) == 10_000


def test_brand_names_are_unique_when_the_syllables_run_out() -> None:
    numbers = [*range(4_000), *range(16_000, 20_000), *range(80_000, 83_000)]
    assert len({make_brand(number, 0).name for number in numbers}) == len(numbers)


def test_every_flavour_on_sale_can_be_drawn() -> None:
    assert {flavour for kind in KINDS for flavour in kind.flavours} <= FLAVOURS.keys()


def test_variants_of_a_parent_share_brand_category_and_shape() -> None:
    for _, group in groupby(PRODUCTS, key=lambda product: product.parent):
        variants = list(group)
        assert len({(v.brand, v.category, v.shape, v.design) for v in variants}) == 1
        assert len({(v.flavour, v.size) for v in variants}) == len(variants)


def test_prices_are_whole_cents_and_stock_is_not_negative() -> None:
    for product in PRODUCTS:
        assert product.price > 0
        assert product.price == round(product.price, 2)
        assert product.stock >= 0


def test_the_first_products_show_every_shape() -> None:
    assert {product.shape for product in PRODUCTS} == {kind.shape for kind in KINDS}


@pytest.mark.parametrize("product", one_of_each_shape(), ids=lambda product: product.shape)
def test_a_packshot_stands_whole_on_a_near_white_ground(product: DemoProduct) -> None:
    drawn = pixels(render_packshot(product, SMALL))
    assert drawn.shape == (SMALL, SMALL, 3)
    rim = np.concatenate([drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]])
    assert rim.min() > 215
    assert (drawn.min(axis=2) < 200).mean() > 0.05


def test_a_packshot_can_be_tiny() -> None:
    for product in one_of_each_shape()[:4]:
        assert render_packshot(product, TINY).size == (TINY, TINY)


def test_the_same_seed_draws_the_same_pixels() -> None:
    again = list(make_products(12))
    for first, second in zip(PRODUCTS[:12:4], again[::4], strict=True):
        assert np.array_equal(
            pixels(render_packshot(first, SMALL)), pixels(render_packshot(second, SMALL))
        )


def test_variants_of_one_parent_differ_in_their_pixels() -> None:
    variants = [product for product in PRODUCTS if product.parent == PRODUCTS[3].parent]
    drawn = [pixels(render_packshot(variant)) for variant in variants]
    assert len(drawn) > 1
    for i, first in enumerate(drawn):
        for second in drawn[i + 1 :]:
            assert (np.abs(first - second).max(axis=2) > 40).mean() > 0.001


def test_views_of_one_product_differ() -> None:
    views = [pixels(render_packshot(PRODUCTS[0], SMALL, view)) for view in range(4)]
    for first, second in pairwise(views):
        assert (np.abs(first - second).max(axis=2) > 25).mean() > 0.01


def test_a_cutout_is_clear_around_the_pack() -> None:
    alpha = np.asarray(render_cutout(PRODUCTS[0], SMALL, 0).getchannel("A"))
    assert alpha[0, 0] == 0
    assert alpha.max() == 255


def test_photos_repeat_with_their_seed_and_differ_between_seeds() -> None:
    product, around = PRODUCTS[10], PRODUCTS[6:15]
    first, again, other = (pixels(render_photo(product, around, s, 200)) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 5


def test_a_photo_needs_no_neighbours() -> None:
    for seed in range(4):
        assert render_photo(PRODUCTS[0], [], seed, 160).size == (160, 160)


def test_the_manifest_names_every_image_and_the_ground_truth(tmp_path: Path) -> None:
    written = write_catalog(tmp_path, products=5, photos=7, images_per_product=2, workers=1)
    with written.products.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with written.photos.open(newline="", encoding="utf-8") as file:
        photos = list(csv.DictReader(file))
    assert [row["sku"] for row in rows] == [product.sku for product in islice(PRODUCTS, 5)]
    assert all(len(row["image"].split("|")) == 2 for row in rows)
    assert len(photos) == 7
    assert {photo["sku"] for photo in photos} == {row["sku"] for row in rows}
    named = [name for row in rows for name in row["image"].split("|")]
    for name in named + [photo["image"] for photo in photos]:
        with Image.open(tmp_path / name) as image:
            assert image.format == "JPEG"


def test_complete_output_is_not_rendered_again(tmp_path: Path) -> None:
    written = write_catalog(tmp_path, products=2, photos=0, workers=1)
    written.products.write_text("kept", encoding="utf-8")
    write_catalog(tmp_path, products=2, photos=0, workers=1)
    assert written.products.read_text(encoding="utf-8") == "kept"


def test_output_without_its_stamp_or_of_another_order_is_rendered(tmp_path: Path) -> None:
    written = write_catalog(tmp_path, products=2, photos=0, workers=1)
    (tmp_path / "catalog.json").unlink()
    written.products.write_text("torn", encoding="utf-8")
    write_catalog(tmp_path, products=2, photos=0, workers=1)
    assert written.products.read_text(encoding="utf-8").startswith("sku,")
    write_catalog(tmp_path, products=3, photos=0, workers=1)
    assert len(written.products.read_text(encoding="utf-8").splitlines()) == 4


def test_a_pool_writes_the_same_files_as_one_process(tmp_path: Path) -> None:
    alone = write_catalog(tmp_path / "alone", products=26, photos=2, workers=1)
    pooled = write_catalog(tmp_path / "pooled", products=26, photos=2, workers=2)
    assert alone.products.read_bytes() == pooled.products.read_bytes()
    for file in (tmp_path / "alone").rglob("*.jpg"):
        twin = tmp_path / "pooled" / file.relative_to(tmp_path / "alone")
        assert file.read_bytes() == twin.read_bytes()


@pytest.mark.parametrize("order", [(0, 0, 1), (1, -1, 1), (1, 0, 0)])
def test_an_impossible_order_is_refused(order: tuple[int, int, int], tmp_path: Path) -> None:
    products, photos, images = order
    with pytest.raises(ValueError, match="at least"):
        write_catalog(tmp_path, products, photos, images_per_product=images)
