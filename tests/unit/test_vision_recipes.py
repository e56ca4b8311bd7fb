"""Recipes do what they say: views averaged, mirrored, cropped to the object, in any batch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import avg_pool2d

from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.domain.pixel_views import split_views
from services.vision.embedder import ImageEmbedder
from services.vision.network import EmbeddingNetwork, make_network
from services.vision.pooling import AveragePooling
from services.vision.precision import best_precision
from tests.unit.vision_networks import (
    SMALL,
    pictures,
    rows,
    small_embedder,
    small_spec,
    small_state,
)

Vectors = NDArray[np.float32]
RECIPES: list[dict[str, Any]] = [
    {"pooling": "gem"},
    {"pooling": "lca", "flip": True},
    {"pooling": "rmac", "resolutions": (128, 160)},
    {"resolutions": (96, 160), "flip": True, "autocrop": 0.7},
]


def lengths(vectors: Vectors) -> Vectors:
    found: Vectors = np.linalg.norm(vectors, axis=1)
    return found


def unit(vectors: Vectors) -> Vectors:
    found: Vectors = vectors / lengths(vectors)[:, None]
    return found


def test_views_are_averaged_at_length_one() -> None:
    embedder = small_embedder(resolutions=(96, 160))
    pixels = rows(embedder.spec, 3)
    small, large = split_views(pixels, embedder.spec.views)
    first, first_norms = small_embedder(resolutions=(96,)).embed(small)
    second, second_norms = small_embedder().embed(large)
    embeddings, norms = embedder.embed(pixels)
    assert np.allclose(embeddings, unit(first + second), atol=1e-5)
    assert np.allclose(norms, (first_norms + second_norms) / 2, rtol=1e-4)
    assert np.allclose(lengths(embeddings), 1, atol=1e-5)


def test_without_normalising_views_are_averaged_as_they_are() -> None:
    plain: dict[str, Any] = {"normalised": False, "distance": "euclidean"}
    embedder = small_embedder(resolutions=(96, 160), **plain)
    pixels = rows(embedder.spec, 3)
    small, large = split_views(pixels, embedder.spec.views)
    first, _ = small_embedder(resolutions=(96,), **plain).embed(small)
    second, _ = small_embedder(**plain).embed(large)
    embeddings, norms = embedder.embed(pixels)
    assert np.allclose(embeddings, (first + second) / 2, rtol=1e-3, atol=1e-5)
    assert np.allclose(norms, lengths(embeddings), rtol=1e-5)
    assert not np.allclose(norms, 1, atol=0.01)


def test_flip_averages_the_picture_and_its_mirror_image() -> None:
    plain, flipping = small_embedder(), small_embedder(flip=True)
    images = pictures(3, 160)
    seen, mirrored = plain.embed(images)[0], plain.embed(images[:, :, ::-1])[0]
    assert not np.allclose(seen, mirrored, atol=1e-3)
    assert np.allclose(flipping.embed(images)[0], unit(seen + mirrored), atol=1e-5)
    assert np.allclose(flipping.embed(images)[0], flipping.embed(images[:, :, ::-1])[0], atol=1e-5)


def test_a_single_view_comes_as_a_row_or_as_a_picture() -> None:
    embedder = small_embedder()
    images = pictures(2, 160)
    as_rows = embedder.embed(images.reshape(2, -1))[0]
    assert np.array_equal(as_rows, embedder.embed(images)[0])


@pytest.mark.parametrize("shape", [(2, 100), (2, 96, 96, 3), (2, 160, 160)])
def test_pixels_of_another_recipe_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument, match="160 pixels") as refusal:
        small_embedder().embed(np.zeros(shape, np.uint8))
    assert refusal.value.reason == "WRONG_PIXELS"


class MeanColours(nn.Module):
    """A backbone whose map holds the mean colour of every 32 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))
        self.num_features = 3

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return avg_pool2d(images, 32) * self.one


def test_autocrop_embeds_the_object_and_half_a_place_around_it() -> None:
    # On grey, which is 0 to the model, a red square of 2 by 2 of the 5 by 5 places.
    scene = np.full((1, 160, 160, 3), 128, np.uint8)
    scene[:, 32:96, 64:128] = (255, 0, 0)
    means: dict[float, float] = {}
    for share in (0.0, 0.5):
        half = (0.5, 0.5, 0.5)
        spec = small_spec(autocrop=share, normalised=False)
        spec = replace(spec, embedding_dim=3, mean=half, std=half)
        embedder = ImageEmbedder(spec, EmbeddingNetwork(MeanColours(), AveragePooling()))
        means[share] = float(embedder.embed(scene)[0][0, 0])
    assert means[0.0] == pytest.approx(4 / 25, abs=0.01)
    assert means[0.5] == pytest.approx(4 / 9, abs=0.02)


def test_autocrop_cuts_every_view_from_the_largest() -> None:
    embedder = small_embedder(resolutions=(96, 160), autocrop=0.6)
    pixels = rows(embedder.spec, 2)
    other = pixels.copy()
    split_views(other, embedder.spec.views)[0][:] = 0
    assert np.array_equal(embedder.embed(pixels)[0], embedder.embed(other)[0])


@pytest.mark.parametrize("precision", sorted({"fp32", best_precision()}))
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_an_embedding_does_not_depend_on_its_batch(recipe: dict[str, Any], precision: str) -> None:
    embedder = small_embedder(**recipe, precision=precision)
    pixels = rows(embedder.spec, 16)
    together = embedder.embed(pixels)[0]
    alone = np.concatenate([embedder.embed(each[None])[0] for each in pixels])
    backwards = embedder.embed(pixels[::-1])[0][::-1]
    assert (together * alone).sum(1).min() > 0.9999
    assert (together * backwards).sum(1).min() > 0.9999


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_mambaout", "test_resnet"])
def test_every_recipe_runs_on_every_kind_of_backbone(name: str) -> None:
    for recipe in RECIPES:
        embedder = small_embedder(name, **recipe)
        embeddings, norms = embedder.embed(rows(embedder.spec, 2))
        assert embeddings.shape == (2, embedder.spec.embedding_dim)
        assert np.isfinite(embeddings).all()
        assert np.allclose(lengths(embeddings), 1, atol=1e-5)
        assert (norms > 0).all()


def test_the_class_token_becomes_the_embedding() -> None:
    embedder = small_embedder("test_vit", pooling="cls")
    assert not np.allclose(
        embedder.embed(pictures(1, 160))[0],
        small_embedder("test_vit").embed(pictures(1, 160))[0],
        atol=1e-3,
    )


def test_the_projection_head_is_applied_to_the_pooled_map() -> None:
    pooled, norms = small_embedder().embed(pictures(2, 160))
    weight, bias = torch.randn(5, pooled.shape[1]), torch.randn(5)
    spec = small_spec(head_dim=5, normalised=False)
    state = small_state() | {"projection.weight": weight, "projection.bias": bias}
    embeddings, _ = ImageEmbedder(spec, make_network(spec, state, "small")).embed(pictures(2, 160))
    raw = torch.from_numpy(pooled * norms[:, None])
    assert np.allclose(embeddings, (raw @ weight.T + bias).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [None, (4, 256), (5, 3)])
def test_a_missing_or_other_projection_head_is_refused(shape: tuple[int, int] | None) -> None:
    parts = {} if shape is None else {"projection.weight": torch.zeros(shape)}
    with pytest.raises(InvalidArgument, match=r"head_dim 5 needs 'projection\.weight'") as refusal:
        make_network(small_spec(head_dim=5), small_state() | parts, "small")
    assert refusal.value.reason == "WEIGHTS_MISMATCH"


def test_whitening_of_regions_comes_with_the_weights() -> None:
    channels = small_spec().embedding_dim
    spec = small_spec(pooling="rmac")
    parts = {"pooling.mean": torch.zeros(channels), "pooling.matrix": torch.eye(channels)}
    images = pictures(2, 160)
    white = ImageEmbedder(spec, make_network(spec, small_state() | parts, "small"))
    assert np.allclose(
        white.embed(images)[0], small_embedder(pooling="rmac").embed(images)[0], atol=1e-5
    )
    narrow = small_state() | parts | {"pooling.matrix": torch.eye(channels)[:, :7]}
    with pytest.raises(FailedPrecondition, match="7 channels") as refusal:
        make_network(spec, narrow, "small")
    assert refusal.value.reason == "WRONG_EMBEDDING_DIM"


def test_pooling_changes_the_embedding() -> None:
    images = pictures(1, 160)
    poolings = ("avg", "max", "gem", "lca", "rmac")
    found = [small_embedder(SMALL, pooling=each).embed(images)[0][0] for each in poolings]
    similarities = np.stack(found) @ np.stack(found).T
    assert (similarities[~np.eye(len(poolings), dtype=bool)] < 0.99999).all()
