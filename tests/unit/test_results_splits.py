"""The splits of the results: no burst of photos lies on both sides."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.results.grouping import alike_groups, hold_out, leak, spread
from tests.results.query_sets import Shop, grocery, half, luma
from tests.results.thumbnails import Float32, thumbnails

BURSTS, PHOTOS, PRODUCTS = 6, 4, 5


def _bursts(seed: int) -> tuple[Float32, list[str], list[int]]:
    """Thumbnails of bursts of photos, their products, and the burst of each."""
    random = np.random.default_rng(seed)
    rows, products, bursts = [], [], []
    for burst in range(BURSTS * PRODUCTS):
        scene = random.standard_normal(300)
        for _ in range(PHOTOS):
            rows.append(scene + 0.3 * random.standard_normal(300))
            products.append(f"product {burst % PRODUCTS}")
            bursts.append(burst)
    seen = np.array(rows, np.float32)
    return seen / np.linalg.norm(seen, axis=1, keepdims=True), products, bursts


def _shuffled(seed: int) -> tuple[Float32, list[str], list[int]]:
    seen, products, bursts = _bursts(seed)
    order = np.random.default_rng(seed).permutation(len(products))
    return seen[order], [products[at] for at in order], [bursts[at] for at in order]


def test_photos_of_one_burst_are_one_group() -> None:
    seen, products, bursts = _shuffled(1)
    groups = alike_groups(seen, products)
    pairs = set(zip(bursts, groups.tolist(), strict=True))
    assert len(pairs) == len(set(bursts)) == len(set(groups.tolist()))


def test_a_chain_of_alike_photos_is_one_group() -> None:
    angles = np.arange(9) * np.pi / 8
    seen = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert len(set(alike_groups(seen, ["a"] * 9, least=0.9).tolist())) == 1
    assert len(set(alike_groups(seen[::2], ["a"] * 5, least=0.9).tolist())) == 5


def test_alike_photos_of_two_products_are_two_groups() -> None:
    seen = np.ones((2, 1), np.float32)
    assert alike_groups(seen, ["a", "b"]).tolist() == [0, 1]


def test_groups_never_straddle_a_split() -> None:
    for seed in range(5):
        seen, products, _ = _shuffled(seed)
        groups = alike_groups(seen, products)
        held = hold_out(groups, products, 0.5, seed)
        assert 0.4 < held.mean() < 0.7
        assert not set(groups[held].tolist()) & set(groups[~held].tolist())
        assert set(np.array(products)[~held]) == set(products)


def test_a_product_of_one_group_stays_whole() -> None:
    assert not hold_out(np.zeros(9, np.int64), ["a"] * 9, 0.5, 0).any()


def test_the_probe_sees_bursts_on_both_sides_and_none_after_a_split_by_group() -> None:
    seen, products, _ = _shuffled(3)
    names = np.array(products)
    by_group = hold_out(alike_groups(seen, products), products, 0.5, 3)
    by_photo = np.random.default_rng(3).random(len(products)) < 0.5

    def probe(held: np.ndarray) -> float:
        return leak(seen[held], seen[~held], names[held].tolist(), names[~held].tolist())

    assert probe(by_photo) > 0.8
    assert probe(by_group) < 0.4  # by chance 1 of 5


def test_few_photos_come_from_many_groups() -> None:
    groups = np.array([0, 0, 0, 0, 0, 0, 1, 2, 3, 4], np.int64)
    taken = spread(groups, ["a"] * 6 + ["a"] * 3 + ["b"], 4, seed=2)
    assert sorted(groups[taken].tolist()) == [0, 1, 2, 3, 4]


def test_halves_are_even_and_do_not_change() -> None:
    names = [f"product {each}" for each in range(1000)]
    assert 0.45 < np.mean([half(each) for each in names]) < 0.55
    assert [half(each) for each in names[:8]] == [0, 0, 0, 1, 1, 0, 0, 1]


def test_no_grocery_group_is_searched_in(tmp_path: Path) -> None:
    shop = _grocery(tmp_path)
    shown = {each.image for each in shop.gallery}
    asked = {each.image for each in shop.queries}
    assert not shown & asked
    bursts = [{name.rpartition("_")[0] for name in side if "_" in name} for side in (shown, asked)]
    assert bursts[1]
    assert not bursts[0] & bursts[1]
    prefixes = [each.prefix for each in shop.sets]
    assert all(each.group.startswith(tuple(prefixes)) for each in shop.queries)


def test_luma_views_of_a_style_and_colour_search_its_main_view(tmp_path: Path) -> None:
    names = ["ab01-red_main", "ab01-red_back", "ab01-blue_main", "ab02-red_back", "video-thumb"]
    for at, name in enumerate(names):
        _picture(tmp_path / "images" / f"a/b/{name}.jpg", at)
    cells = [f"/a/b/{each}.jpg" for each in names]
    # Sizes of one colour share images, and one image is missing.
    row = {"categories": "Tops,All", "base_image": cells[0], "additional_images": cells[1]}
    rows = [
        row,
        row,
        row | {"base_image": cells[2], "additional_images": "/a/b/ab01-blue_alt1.jpg"},
    ]
    rows.append(row | {"base_image": cells[3], "additional_images": cells[4]})
    _table(tmp_path / "products.csv", rows)
    shop = luma(tmp_path)
    assert [each.sku for each in shop.gallery] == ["ab01-red", "ab01-blue"]
    assert [(each.sku, each.image, each.category, each.group) for each in shop.queries] == [
        ("ab01-red", "images/a/b/ab01-red_back.jpg", "Tops", "ab01/")
    ]


@pytest.mark.parametrize("colour", ["black", "white", "red"])
def test_a_picture_of_one_colour_has_a_thumbnail(tmp_path: Path, colour: str) -> None:
    path = tmp_path / "plain.png"
    Image.new("RGB", (40, 30), colour).save(path)
    assert np.isfinite(thumbnails([path])).all()


def _grocery(root: Path) -> Shop:
    """Three products with bursts of four photos, half of one burst's name in val."""
    photos = []
    for sku in ("A", "B", "C"):
        _picture(root / f"iconic{sku}.png", ord(sku))
        for burst in range(8):
            for photo in range(PHOTOS):
                name = f"{sku}-{burst}_{photo}.png"
                _picture(root / name, 100 * ord(sku) + burst, noise=photo)
                photos.append(
                    {"image": name, "sku": sku, "split": "val" if burst == 7 else "train"}
                )
    _table(root / "photos.csv", photos)
    products = [{"sku": x, "category": "Food", "image": f"iconic{x}.png"} for x in ("A", "B", "C")]
    _table(root / "products.csv", products)
    return grocery(root)


def _picture(path: Path, scene: int, noise: int = 0) -> None:
    pixels = np.random.default_rng(scene).integers(0, 200, (16, 16, 3))
    pixels = pixels + np.random.default_rng([scene, noise]).integers(0, 50, (16, 16, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).resize((64, 64), Image.Resampling.NEAREST).save(path)


def _table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)
