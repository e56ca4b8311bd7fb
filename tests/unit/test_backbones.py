"""Recipes that no worker could make are refused without torch, by name."""

import json
import time
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest

from services.core.domain import backbones
from services.core.domain.errors import InvalidArgument
from services.core.domain.recipes import EmbedderRecipe

RESNET = EmbedderRecipe(backbone="resnet50.a1_in1k")
VIT = EmbedderRecipe(backbone="vit_base_patch16_224.augreg_in21k")
FIXED = EmbedderRecipe(backbone="maxvit_tiny_tf_224.in1k")
DIGEST = "a" * 64
LAYOUTS = ("nchw", "nhwc", "tokens", "none", "other")


@pytest.mark.parametrize(
    "backbone",
    [
        "resnext101_32x8d.fb_wsl_ig1b_ft_in1k",
        "convnext_xlarge.fb_in22k",
        "swin_large_patch4_window12_384.ms_in22k",
        "efficientnet_b0.ra_in1k",
        "efficientnet_b1",
        "tf_efficientnet_b4.ns_jft_in1k",
        "tf_efficientnet_lite0.in1k",
        "resnet50",
        "resnet101",
        "vit_base_patch16_clip_224.openai",
        "vit_small_patch14_dinov2.lvd142m",
        "vit_small_patch16_dinov3.lvd1689m",
    ],
)
def test_the_backbones_of_the_papers_are_welcome(backbone: str) -> None:
    backbones.check_recipe(EmbedderRecipe(backbone=backbone, pooling="gem", flip=True))


@pytest.mark.parametrize(
    ("backbone", "features"),
    [("resnet18", 512), ("resnet50.a1_in1k", 2048), ("vit_base_patch16_224", 768)],
)
def test_the_length_of_an_embedding_is_known_without_torch(backbone: str, features: int) -> None:
    assert backbones.feature_count(backbone) == features


def test_layouts_and_class_tokens_are_known() -> None:
    assert _layout("resnet50") == ("nchw", False)
    assert _layout("swin_tiny_patch4_window7_224") == ("nhwc", False)
    assert _layout("vit_base_patch16_clip_224.openai") == ("tokens", True)
    assert _layout("vit_base_patch16_siglip_224.webli") == ("tokens", False)


def test_the_side_is_that_of_the_weights_named() -> None:
    assert backbones.find("resnet18").side == 224
    assert backbones.find("resnet18.a3_in1k").side == 160


def test_an_unknown_backbone_names_the_three_closest() -> None:
    error = _refused(EmbedderRecipe(backbone="resnet5O.a1_in1k"), "UNKNOWN_BACKBONE", "backbone")
    assert "'resnet5O.a1_in1k'" in error.message
    close = error.message.partition("did you mean ")[2].rstrip("?").split(", ")
    assert len(close) == 3
    assert "resnet50" in close
    assert set(close) <= set(backbones.names())


def test_an_unknown_tag_names_those_that_there_are() -> None:
    error = _refused(EmbedderRecipe(backbone="resnet18.a9_in1k"), "UNKNOWN_BACKBONE", "backbone")
    assert "a9_in1k" in error.message
    assert all(tag in error.message for tag in backbones.tags("resnet18"))


def test_a_tag_of_a_backbone_without_weights_is_refused() -> None:
    bare = next(each for each in backbones.names() if not backbones.tags(each))
    assert backbones.find(bare).tag == ""
    assert "timm has none" in _refused(EmbedderRecipe(backbone=f"{bare}.in1k")).message


@pytest.mark.parametrize("name", ["", ".", "a" * 1_000_000, "resnet50." + "b" * 1_000_000, "\x00"])
def test_a_hostile_name_is_refused_at_once_and_not_repeated(name: str) -> None:
    start = time.perf_counter()
    error = _refused(EmbedderRecipe(backbone=name), "UNKNOWN_BACKBONE", "backbone")
    assert time.perf_counter() - start < 5
    assert len(error.message) < 1000


@pytest.mark.parametrize("name", [None, 7, ["resnet50"], {}])
def test_a_backbone_that_is_no_text_is_refused(name: Any) -> None:
    _refused(EmbedderRecipe(backbone=name), "UNKNOWN_BACKBONE", "backbone")


def test_cls_without_a_class_token_names_what_can_be_used() -> None:
    error = _refused(replace(RESNET, pooling="cls"), "POOLING_UNSUPPORTED", "pooling")
    assert "resnet50" in error.message
    assert "avg, max, gem, lca, rmac" in error.message
    backbones.check_recipe(replace(VIT, pooling="cls"))


def test_a_backbone_with_two_branches_is_refused() -> None:
    recipe = EmbedderRecipe(backbone="crossvit_9_240")
    assert "crossvit_9_240" in _refused(recipe, "BACKBONE_UNSUPPORTED", "backbone").message


def test_a_backbone_without_a_map_feeds_its_class_token_only() -> None:
    recipe = EmbedderRecipe(backbone="pit_ti_224.in1k")
    assert "use cls" in _refused(recipe, "POOLING_UNSUPPORTED", "pooling").message
    backbones.check_recipe(replace(recipe, pooling="cls"))
    _refused(replace(recipe, pooling="cls", autocrop=0.5), "POOLING_UNSUPPORTED", "autocrop")


@pytest.mark.parametrize("sides", [(), (224,), (160,), (160, 224, 288), (222, 225)])
def test_a_cnn_takes_any_resolutions(sides: tuple[int, ...]) -> None:
    backbones.check_recipe(replace(RESNET, resolutions=sides))


@pytest.mark.parametrize("sides", [(), (224,), (240,), (208, 224, 1024)])
def test_a_transformer_takes_multiples_of_its_patch(sides: tuple[int, ...]) -> None:
    backbones.check_recipe(replace(VIT, resolutions=sides))


@pytest.mark.parametrize("sides", [(225,), (224, 225), (208, 225)])
def test_a_side_between_patches_names_the_nearest(sides: tuple[int, ...]) -> None:
    recipe = replace(VIT, resolutions=sides)
    error = _refused(recipe, "RESOLUTION_UNSUPPORTED", "resolutions")
    assert "not 225: use 224 or 240" in error.message
    assert "vit_base_patch16_224" in error.message


def test_several_sides_of_a_backbone_that_takes_one_are_refused() -> None:
    backbones.check_recipe(replace(FIXED, resolutions=(224,)))
    error = _refused(replace(FIXED, resolutions=(224, 256)), "RESOLUTION_UNSUPPORTED")
    assert "use 224" in error.message


def test_sides_below_the_smallest_are_refused() -> None:
    small = EmbedderRecipe(backbone="convnext_atto", resolutions=(16,))
    least = backbones.find("convnext_atto").smallest
    assert least > 16
    assert f"use {least}" in _refused(small, "RESOLUTION_UNSUPPORTED").message


def test_every_backbone_takes_what_its_weights_were_made_for() -> None:
    for name in backbones.names():
        for tag in ("", *backbones.tags(name)):
            found = backbones.find(f"{name}.{tag}" if tag else name)
            assert found.takes([found.side]), found
            assert found.token_map in LAYOUTS, found
            assert (found.features > 0) == bool(found.poolings), found
            assert bool(found.poolings) == (found.token_map != "other"), found


def test_what_a_refusal_proposes_is_taken() -> None:
    proposals = 0
    for name in backbones.names():
        found = backbones.find(name)
        for sides in ((17,), (225,), (113, 225), (1023,)) if found.poolings else ():
            recipe = EmbedderRecipe(backbone=name, pooling=found.poolings[0], resolutions=sides)
            if not found.takes(sides):
                error = _refused(recipe, "RESOLUTION_UNSUPPORTED", "resolutions")
                for each in error.message.rpartition(": use ")[2].split(" or "):
                    backbones.check_recipe(replace(recipe, resolutions=(int(each),)))
                    proposals += 1
    assert proposals > 1000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pooling", "mean"),
        ("resolutions", (8,)),
        ("resolutions", (224, 160)),
        ("resolutions", ("224",)),
        ("resolutions", tuple(range(32, 320, 32))),
        ("fit", "stretch"),
        ("flip", "yes"),
        ("autocrop", 1.5),
        ("gem_p", 0.5),
        ("gem_p", float("nan")),
        ("lca_average", "all"),
        ("rmac_levels", 0),
        ("head_dim", -1),
        ("head_dim", 65537),
        ("distance", "dot"),
        ("normalised", 1),
        ("precision", "fp16"),
    ],
)
def test_values_that_no_model_has_are_refused_by_field(field: str, value: Any) -> None:
    _refused(replace(RESNET, **{field: value}), "INVALID_MODEL_SPEC", field)


@pytest.mark.parametrize("digest", ["abc", "A" * 64, DIGEST + "a"])
def test_weights_are_named_by_a_digest_or_not_at_all(digest: str) -> None:
    backbones.check_recipe(replace(RESNET, weights_sha256=DIGEST))
    _refused(replace(RESNET, weights_sha256=digest), "INVALID_DIGEST", "weights_sha256")


@pytest.mark.parametrize("digest", [None, 0, 7])
def test_a_digest_that_is_no_text_is_refused(digest: Any) -> None:
    _refused(replace(RESNET, weights_sha256=digest), "INVALID_MODEL_SPEC", "weights_sha256")


@pytest.mark.parametrize("distance", ["euclidean", "manhattan"])
def test_lengths_are_kept_only_where_the_distance_sees_them(distance: str) -> None:
    backbones.check_recipe(replace(RESNET, distance=distance, normalised=False))
    _refused(replace(RESNET, normalised=False), "INVALID_MODEL_SPEC", "normalised")


def test_a_head_may_give_any_length_in_range() -> None:
    backbones.check_recipe(replace(RESNET, head_dim=64))
    backbones.check_recipe(replace(RESNET, head_dim=65536))


def test_the_table_is_small() -> None:
    table = resources.files("services.core.domain").joinpath("backbones.json").read_text("utf-8")
    assert len(table) < 300_000
    assert json.loads(table)["timm"] == backbones.timm_version()


def _layout(backbone: str) -> tuple[str, bool]:
    found = backbones.find(backbone)
    return found.token_map, found.class_token


def _refused(recipe: EmbedderRecipe, reason: str = "", field: str = "") -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        backbones.check_recipe(recipe)
    assert caught.value.reason == (reason or caught.value.reason)
    assert caught.value.metadata["field"] == (field or caught.value.metadata["field"])
    return caught.value
