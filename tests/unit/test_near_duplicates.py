"""Copies of a photo are told from other views and from variants that look much alike."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from services.core.domain.near_duplicates import (
    THUMBNAIL,
    Pixels,
    any_alike,
    copies,
    fingerprint,
)
from services.core.shard_files import Embeddings, read_embeddings, write_embeddings
from services.demo.catalog import make_products
from services.demo.packshot import render_packshot
from services.imaging.resizing import Square, to_pixels

RECIPE = Square(resize=256, crop=224)
Picture = Image.Image


def saved(picture: Picture, kind: str, quality: int) -> Picture:
    file = io.BytesIO()
    picture.save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


def smaller(picture: Picture, share: float) -> Picture:
    size = (round(picture.width * share), round(picture.height * share))
    return picture.resize(size, Image.Resampling.LANCZOS)


def same_photo(picture: Picture) -> list[Picture]:
    """What shops make of one photo."""
    return [
        *(saved(picture, "JPEG", quality) for quality in (30, 60, 90)),
        saved(picture, "WEBP", 50),
        smaller(picture, 0.5),
        saved(smaller(picture, 1 / 3), "JPEG", 70),
        saved(saved(picture, "WEBP", 80), "JPEG", 75),
    ]


def folded(*pictures: Picture) -> list[int]:
    prints = [fingerprint(to_pixels(each, RECIPE)) for each in pictures]
    return copies([each[0] for each in prints], [each[1] for each in prints])


@pytest.fixture(scope="module")
def packshots() -> dict[str, list[Picture]]:
    """Three views of each of some products, variants of one parent among them."""
    products = make_products(12, seed=4)
    return {each.sku: [render_packshot(each, view=view) for view in range(3)] for each in products}


def test_copies_of_a_packshot_are_folded_whatever_a_shop_made_of_them(
    packshots: dict[str, list[Picture]],
) -> None:
    for views in packshots.values():
        made = same_photo(views[0])
        assert folded(views[0], *made) == list(range(1, len(made) + 1))


def test_views_and_variants_are_not_folded(packshots: dict[str, list[Picture]]) -> None:
    assert len({sku.rsplit("-", 1)[0] for sku in packshots}) < len(packshots)  # some are variants
    views = [view for each in packshots.values() for view in each]
    assert folded(*views) == []


def test_another_colour_is_another_picture_though_its_hash_is_the_same() -> None:
    red, blue = (Image.new("RGB", (300, 300), "white") for _ in range(2))
    # Colours of one brightness.
    ImageDraw.Draw(red).ellipse((50, 50, 250, 250), (200, 80, 80))
    ImageDraw.Draw(blue).ellipse((50, 50, 250, 250), (80, 118, 190))
    prints = [fingerprint(to_pixels(each, RECIPE)) for each in (red, blue)]
    assert any_alike([each[0] for each in prints])
    assert folded(red, blue) == []


def test_small_print_makes_another_picture() -> None:
    plain = Image.new("RGB", (300, 300), (235, 235, 235))
    ImageDraw.Draw(plain).rectangle((20, 20, 280, 120), (30, 120, 60))
    printed = plain.copy()
    ImageDraw.Draw(printed).text((60, 200), "500 ml", (20, 20, 20), font_size=30)
    assert folded(plain, printed) == []


def test_blank_pictures_are_copies_of_each_other_only() -> None:
    white, whiter, grey = (Image.new("RGB", (224, 224), (v, v, v)) for v in (250, 255, 120))
    assert folded(white, whiter, grey, white) == [1, 3]


def test_the_first_stays_and_chains_do_not_pull_others_in() -> None:
    # Each is near the one before it; only the even ones are far from those that stay.
    steps = [np.full((64, 64, 3), 100 + 12 * n, np.uint8) for n in range(5)]
    prints = [fingerprint(each) for each in steps]
    assert copies([each[0] for each in prints], [each[1] for each in prints]) == [1, 3]


def test_without_hash_or_thumbnail_nothing_is_a_copy() -> None:
    digest, thumbnail = fingerprint(np.full((64, 64, 3), 7, np.uint8))
    assert copies([digest, digest], [thumbnail, None]) == []
    assert copies([digest, ""], [thumbnail, thumbnail]) == []
    assert not any_alike(["", "", digest])
    assert any_alike(["", digest, digest])


@pytest.mark.parametrize("size", [1, 16, 33, 224, 299, 1024])
def test_a_fingerprint_fits_pixels_of_every_size(size: int) -> None:
    pixels = np.random.default_rng(size).integers(0, 256, (size, size, 3), np.uint8)
    digest, thumbnail = fingerprint(pixels)
    assert len(digest) == 16
    assert thumbnail.shape == (THUMBNAIL, THUMBNAIL, 3)
    assert thumbnail.dtype == np.uint8
    if size % THUMBNAIL == 0 and size >= 2 * THUMBNAIL:
        side = size // THUMBNAIL
        means = [
            pixels[side * y : side * (y + 1), side * x : side * (x + 1)].mean((0, 1))
            for y in range(THUMBNAIL)
            for x in range(THUMBNAIL)
        ]
        assert np.abs(np.array(means).reshape(thumbnail.shape) - thumbnail).max() <= 0.5


def test_thumbnails_travel_with_the_embeddings_and_older_files_have_none() -> None:
    rng = np.random.default_rng(0)
    thumbnails: Pixels = rng.integers(0, 256, (3, THUMBNAIL, THUMBNAIL, 3), np.uint8)
    vectors, norms = rng.normal(size=(3, 8)).astype(np.float32), np.ones(3, np.float32)
    stored = read_embeddings(write_embeddings(Embeddings(("a", "b", "c"), vectors, norms)))
    assert stored.thumbnails is None
    assert stored.take([1]).thumbnails is None
    rows = Embeddings(("a", "b", "c"), vectors, norms, thumbnails)
    taken = read_embeddings(write_embeddings(rows)).take([2, 0])
    assert taken.sha256s == ("c", "a")
    assert taken.thumbnails is not None
    np.testing.assert_array_equal(taken.thumbnails, thumbnails[[2, 0]])
    np.testing.assert_array_equal(taken.embeddings, vectors[[2, 0]])


def test_random_pictures_are_never_alike() -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(20)]
    hashes = [fingerprint(each)[0] for each in pictures]
    assert not any_alike(hashes)
    assert any_alike([*hashes, hashes[3]])
