"""Backbones of every kind give a map that poolings can take, at the resolutions asked for."""

import pytest
import torch
from torch import nn

from services.core.domain.errors import InvalidArgument
from services.vision.backbone import check_sides, make_backbone, outline
from services.vision.pooling import check_pooling, poolings_for
from services.vision.token_maps import blank_tokens, token_map

# Name, side of images -> channels, side of the map, has a class token.
BACKBONES = [
    ("resnext101_32x8d.fb_wsl_ig1b_ft_in1k", 224, 2048, 7, False),
    ("convnext_xlarge.fb_in22k", 224, 2048, 7, False),
    ("swin_large_patch4_window12_384.ms_in22k", 384, 1536, 12, False),
    ("efficientnet_b0", 224, 1280, 7, False),
    ("efficientnet_b1", 240, 1280, 8, False),
    ("efficientnet_b4", 320, 1792, 10, False),
    ("tf_efficientnet_b4", 380, 1792, 12, False),
    ("resnet50", 224, 2048, 7, False),
    ("resnet101", 224, 2048, 7, False),
    ("vit_large_patch14_clip_224.openai", 224, 1024, 16, True),
    ("vit_small_patch14_dinov2", 518, 384, 37, True),
    ("vit_small_patch14_reg4_dinov2", 518, 384, 37, True),
    ("vit_large_patch16_dinov3", 256, 1024, 16, True),
    ("vit_medium_patch16_reg4_gap_256", 256, 512, 16, False),
    ("beit_base_patch16_224", 224, 768, 14, True),
    ("volo_d1_224", 224, 384, 14, True),
]


@pytest.mark.parametrize(("name", "side", "channels", "grid", "has_class"), BACKBONES)
def test_backbones_give_maps(
    name: str, side: int, channels: int, grid: int, has_class: bool
) -> None:
    tokens = blank_tokens(outline(name), side)
    assert tokens.map is not None
    assert tokens.map.shape == (1, channels, grid, grid)
    assert (tokens.class_token is not None) == has_class
    assert poolings_for(tokens) == tuple(
        each for each in ("avg", "max", "gem", "cls", "lca", "rmac") if has_class or each != "cls"
    )


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "vit_small_patch16_dinov3"])
def test_an_image_goes_through_the_real_ones(name: str) -> None:
    maps = blank_tokens(make_backbone(name, [64]), 64).map
    assert maps is not None
    assert torch.isfinite(maps).all()


@pytest.mark.parametrize(
    ("name", "sides", "grids"),
    [
        ("vit_small_patch14_dinov2", [224], [16]),
        ("vit_small_patch14_dinov2", [126, 224, 518], [9, 16, 37]),
        ("vit_base_patch32_clip_224.openai", [224, 288], [7, 9]),
        ("vit_small_patch16_dinov3", [224, 320], [14, 20]),
        ("swin_tiny_patch4_window7_224", [192], [6]),
        ("swin_tiny_patch4_window7_224", [192, 224, 288], [6, 7, 9]),
        ("swinv2_tiny_window8_256", [256, 320], [8, 10]),
        ("convnext_nano", [224, 288], [7, 9]),
        ("beit_base_patch16_224", [288], [18]),
    ],
)
def test_backbones_take_other_resolutions_than_they_were_trained_with(
    name: str, sides: list[int], grids: list[int]
) -> None:
    backbone = outline(name, sides)
    found = [blank_tokens(backbone, side).map for side in sides]
    assert [each.shape[2:] for each in found if each is not None] == [(g, g) for g in grids]


@pytest.mark.parametrize(
    ("name", "sides", "told"),
    [
        ("vit_base_patch16_224", [225], "multiples of 16 pixels, 224"),
        ("vit_small_patch14_dinov2", [224, 256], "'vit_small_patch14_dinov2'.* 256 .*252"),
        ("beit_base_patch16_224", [224, 288], "'beit_base_patch16_224' cannot take"),
        ("maxvit_tiny_tf_224", [230], "'maxvit_tiny_tf_224' cannot take images of 230"),
    ],
)
def test_impossible_resolutions_are_refused_by_name(name: str, sides: list[int], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told) as refusal:
        check_sides(name, outline(name, sides), sides)
    assert refusal.value.reason == "RESOLUTION_UNSUPPORTED"


def test_the_same_position_embeddings_serve_one_resolution_and_several() -> None:
    torch.manual_seed(1)
    several = make_backbone("test_vit", [128, 160, 192])
    alone = make_backbone("test_vit")
    alone.load_state_dict(several.state_dict())
    images = torch.randn(1, 3, 160, 160)
    with torch.inference_mode():
        expected = alone.forward_features(images)  # type: ignore[operator]
        assert torch.allclose(several.forward_features(images), expected, atol=1e-5)  # type: ignore[operator]


def test_the_class_token_is_refused_where_there_is_none() -> None:
    tokens = blank_tokens(outline("resnet18"), 64)
    told = "'cls' needs a class token, which backbone 'resnet18' .* use avg, max, gem, lca, rmac"
    with pytest.raises(InvalidArgument, match=told) as refusal:
        check_pooling("resnet18", "cls", tokens)
    assert refusal.value.reason == "POOLING_UNSUPPORTED"


def test_a_backbone_without_a_map_feeds_only_its_class_token() -> None:
    tokens = blank_tokens(outline("pit_ti_224"), 224)
    assert poolings_for(tokens) == ("cls",)
    with pytest.raises(InvalidArgument, match=r"'lca' needs a feature map.*'pit_ti_224'.*use cls"):
        check_pooling("pit_ti_224", "lca", tokens)


@pytest.mark.parametrize("name", ["crossvit_tiny_240", "coat_tiny"])
def test_what_no_pooling_can_use_is_refused_by_name(name: str) -> None:
    backbone = outline(name)
    with pytest.raises(InvalidArgument, match=f"'{name}' gives a list") as refusal:
        blank_tokens(backbone, 240 if "240" in name else 224)
    assert refusal.value.reason == "BACKBONE_UNSUPPORTED"


class FiveChannels(nn.Module):
    num_features = 5


def test_the_layout_of_an_undeclared_map_is_told_by_its_channels() -> None:
    backbone = FiveChannels()
    last = torch.randn(1, 2, 3, 5)
    found = token_map(backbone, last).map
    assert found is not None
    assert torch.equal(found, last.permute(0, 3, 1, 2))
    first = torch.randn(1, 5, 2, 3)
    assert token_map(backbone, first).map is first


@pytest.mark.parametrize("name", ["resnet_50", "resnet50.a1_in1000", "hf-hub:timm/resnet50", ""])
def test_an_unknown_backbone_names_the_three_closest(name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"did you mean \S+, \S+, \S+\?") as refusal:
        make_backbone(name)
    assert refusal.value.reason == "UNKNOWN_BACKBONE"
