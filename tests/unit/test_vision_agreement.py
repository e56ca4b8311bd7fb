"""What agrees in two feature maps is hot, and nothing else; what embedders give as maps."""

from collections.abc import Sequence

import numpy as np
import pytest

from services.core.domain.errors import FailedPrecondition
from services.core.ports import Float32
from services.vision.agreement import agreement
from services.vision.models import builtin_model
from tests.unit.vision_networks import pictures, rows, small_embedder

CHANNELS = 64


def noise(seed: int, height: int = 7, width: int = 7) -> Float32:
    """A map of places that are like nothing else, each of length 1."""
    found = np.random.default_rng(seed).normal(size=(height, width, CHANNELS))
    unit: Float32 = (found / np.linalg.norm(found, axis=2, keepdims=True)).astype(np.float32)
    return unit


def with_patch(background: Float32, top: int, left: int, strength: float = 1.0) -> Float32:
    """The same object of 2 x 2 places, laid over a map."""
    made = background.copy()
    made[top : top + 2, left : left + 2] = strength * noise(99, 2, 2)
    return made


def coldest_inside(heat: Float32, top: int, left: int) -> float:
    return float(heat[top : top + 2, left : left + 2].min())


def hottest_outside(heat: Float32, top: int, left: int) -> float:
    rest = heat.copy()
    rest[top : top + 2, left : left + 2] = 0
    return float(rest.max())


def slow(first: Float32, second: Float32) -> tuple[Float32, Float32]:
    """By the pairs themselves, from the definition."""
    a, b = first.reshape(-1, first.shape[2]), second.reshape(-1, second.shape[2])
    products = np.array([[float(one @ other) for other in b] for one in a])
    i, j = np.unravel_index(products.argmax(), products.shape)
    cosine = products[i, j] / np.linalg.norm(a[i]) / np.linalg.norm(b[j])
    heats = []
    for pairs, shape in ((products, first.shape), (products.T, second.shape)):
        values = pairs.max(1) - pairs.mean(1)
        scaled = (values - values.mean()) / (values.max() - values.mean())
        heats.append((cosine * scaled.clip(0, 1)).reshape(shape[:2]).astype(np.float32))
    return heats[0], heats[1]


@pytest.mark.parametrize(
    "sizes", [((7, 7), (7, 7)), ((3, 5), (8, 2)), ((1, 1), (6, 6)), ((30, 20), (4, 4))]
)
def test_heat_is_that_of_the_definition(sizes: Sequence[tuple[int, int]]) -> None:
    first, second = (noise(seed, *size) for seed, size in enumerate(sizes))
    if sizes[0] == (1, 1):  # which has no contrast of its own
        assert not agreement(first, second)[0].any()
        return
    for heat, expected in zip(agreement(first, second), slow(first, second), strict=True):
        assert heat.shape == expected.shape
        assert np.allclose(heat, expected, atol=1e-4)


def test_an_object_that_is_in_both_is_what_is_hot() -> None:
    first, second = with_patch(noise(1), 1, 2), with_patch(noise(2, 9, 9), 6, 4)
    heat, other = agreement(first, second)
    assert coldest_inside(heat, 1, 2) > 0.9
    assert coldest_inside(other, 6, 4) > 0.9
    assert max(hottest_outside(heat, 1, 2), hottest_outside(other, 6, 4)) < 0.4


@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_a_uniform_background_that_both_share_stays_cold(strength: float) -> None:
    background = np.broadcast_to(noise(5, 1, 1), (7, 7, CHANNELS))
    first, second = (with_patch(background, *at, strength) for at in ((0, 0), (4, 3)))
    heat, other = agreement(first, second)
    assert coldest_inside(heat, 0, 0) > 0.6
    assert coldest_inside(other, 4, 3) > 0.6
    assert hottest_outside(heat, 0, 0) == hottest_outside(other, 4, 3) == 0


def test_identical_pictures_are_hot_in_the_same_places_and_strangers_are_dim() -> None:
    same = with_patch(noise(1), 1, 2, 2.0)
    heat, other = agreement(same, same)
    assert np.array_equal(heat, other)
    assert heat.max() == pytest.approx(1)
    stranger = with_patch(noise(3), 0, 0, -2.0)
    assert max(each.max() for each in agreement(same, stranger)) < 0.6


def test_the_order_of_two_pictures_does_not_matter() -> None:
    first, second = with_patch(noise(1), 1, 2), with_patch(noise(2, 4, 9), 2, 5)
    heat, other = agreement(first, second)
    other_again, heat_again = agreement(second, first)
    assert np.allclose(heat, heat_again, atol=1e-6)
    assert np.allclose(other, other_again, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4])
def test_maps_without_contrast_are_cold(value: float) -> None:
    flat = np.full((7, 7, CHANNELS), value, np.float32)
    for heat in agreement(flat, flat):
        assert heat.dtype == np.float32
        assert not heat.any()


def test_maps_are_what_the_embedding_is_pooled_from() -> None:
    embedder = small_embedder()
    pixels = rows(embedder.spec, 3)
    maps, boxes = embedder.maps(pixels)
    embeddings, norms = embedder.embed(pixels)
    assert maps.shape == (3, 5, 5, embedder.spec.embedding_dim)
    assert np.allclose(maps.mean((1, 2)), embeddings * norms[:, None], atol=1e-4)
    assert boxes.tolist() == [[0, 0, 1, 1]] * 3


def test_tokens_of_transformers_and_the_largest_of_several_views_are_maps() -> None:
    embedder = small_embedder("test_vit", resolutions=(128, 192), flip=True)
    maps, _ = embedder.maps(rows(embedder.spec, 2))
    assert maps.shape == (2, 12, 12, embedder.spec.embedding_dim)
    assert np.isfinite(maps).all()


def test_what_autocrop_leaves_out_is_empty_in_the_map() -> None:
    embedder = small_embedder(autocrop=1.0)
    maps, boxes = embedder.maps(rows(embedder.spec, 4))
    height = maps.shape[1]
    for each, (left, top, right, bottom) in zip(maps, boxes, strict=True):
        centres = (np.arange(height) + 0.5) / height
        inside = ((centres >= top) & (centres <= bottom))[:, None]
        inside = inside & ((centres >= left) & (centres <= right))
        assert not each[~inside].any()
        assert (np.abs(each[inside]).max(-1) > 0).all()
    assert (boxes[:, 2] - boxes[:, 0]).min() < 1


def test_a_backbone_without_a_map_says_so() -> None:
    embedder = small_embedder("pit_ti_224", pooling="cls")
    with pytest.raises(FailedPrecondition, match="pit_ti_224") as caught:
        embedder.maps(rows(embedder.spec, 1))
    assert caught.value.reason == "NO_FEATURE_MAP"


def test_the_built_in_model_finds_an_object_before_different_backgrounds() -> None:
    spec, load = builtin_model("base")
    thing = pictures(1, 96, seed=8)[0]
    photos = np.empty((2, spec.crop, spec.crop, 3), np.uint8)
    photos[0], photos[1] = (235, 235, 230), (70, 110, 90)
    photos[0, 0:96, 0:96], photos[1, 128:224, 128:224] = thing, thing
    heat, other = agreement(*load().maps(photos)[0])
    assert heat[:3, :3].mean() > 2 * heat[4:, 4:].mean()
    assert other[4:, 4:].mean() > 2 * other[:3, :3].mean()
