"""Every pooling gives what its obvious slow version gives, whatever the layout of the map."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from services.core.domain.model_spec import POOLINGS, ModelSpec
from services.vision.backbone import make_backbone
from services.vision.lca import lca_pool, lca_weights
from services.vision.pooling import GemPooling, RmacPooling, make_pooling
from services.vision.rmac import Region, RegionWhitening, rmac_pool, rmac_regions
from services.vision.token_maps import TokenMap, image_tokens, token_map

SIZES = [(1, 1), (1, 4), (5, 1), (3, 2), (2, 6), (7, 7)]
BACKBONES = {
    "channels first": ("test_efficientnet", 160),
    "channels last": ("test_mambaout", 160),
    "tokens": ("test_vit", 160),
}


def spec(pooling: str) -> ModelSpec:
    return ModelSpec(
        backbone="any",
        weights_sha256="0" * 64,
        embedding_dim=8,
        resize=32,
        crop=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        precision="fp32",
        pooling=pooling,
    )


def random_maps(height: int, width: int) -> Tensor:
    return torch.randn(2, 8, height, width, generator=torch.Generator().manual_seed(height * width))


def windows(maps: Tensor) -> list[list[Tensor]]:
    """Means of every rectangle larger than 1x1, by size: the loops of the paper."""
    height, width = maps.shape[2:]
    return [
        [
            maps[:, :, top : top + rows, left : left + columns].mean((2, 3))
            for top in range(height - rows + 1)
            for left in range(width - columns + 1)
        ]
        for rows in range(1, height + 1)
        for columns in range(1, width + 1)
        if rows * columns > 1
    ]


def slow_lca(maps: Tensor, average: str) -> Tensor:
    sizes = windows(maps)
    if not sizes:
        return maps[:, :, 0, 0]
    if average == "sizes":
        return torch.stack([torch.stack(each).mean(0) for each in sizes]).mean(0)
    return torch.stack([one for each in sizes for one in each]).mean(0)


def slow_gem(maps: Tensor, power: float) -> Tensor:
    values = maps.double().clamp_min(1e-6).flatten(2)
    return (values.pow(power).sum(2) / values.shape[2]).pow(1 / power).float()


def slow_rmac(maps: Tensor, levels: int) -> Tensor:
    """Of square maps, by the paper: level l has l * l squares of 2 / (l + 1) of the side."""
    size = maps.shape[2]
    vectors = []
    for level in range(1, levels + 1):
        side = max(1, math.floor(2 * size / (level + 1)))
        for row in range(level):
            for column in range(level):
                top = row * (size - side) // (level - 1) if level > 1 else 0
                left = column * (size - side) // (level - 1) if level > 1 else 0
                area = maps[:, :, top : top + side, left : left + side]
                vectors.append(normalize(area.flatten(2).max(2).values, dim=1))
    return normalize(torch.stack(vectors).sum(0), dim=1)


@pytest.mark.parametrize("average", ["windows", "sizes"])
@pytest.mark.parametrize("size", SIZES)
def test_lca_is_the_mean_over_all_rectangles(size: tuple[int, int], average: str) -> None:
    maps = random_maps(*size)
    assert torch.allclose(lca_pool(maps, average), slow_lca(maps, average), atol=1e-6)


def test_the_two_ways_of_averaging_rectangles_differ() -> None:
    assert not torch.allclose(lca_weights(4, 4, "windows"), lca_weights(4, 4, "sizes"), atol=1e-3)


def test_lca_counts_the_middle_more_than_the_edge() -> None:
    weights = lca_weights(7, 7).reshape(7, 7)
    assert weights[3, 3] > weights[0, 3] > weights[0, 0] > 0
    assert weights.sum().item() == pytest.approx(1)


def test_a_single_place_is_its_own_lca() -> None:
    maps = random_maps(1, 1)
    assert torch.equal(lca_pool(maps), maps[:, :, 0, 0])


def test_lca_weights_are_computed_once_for_a_size() -> None:
    assert lca_weights(6, 5) is lca_weights(6, 5)


def test_weights_made_while_searching_serve_training() -> None:
    lca_weights.cache_clear()
    with torch.inference_mode():
        lca_pool(random_maps(3, 3))
    maps = random_maps(3, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(lca_pool(maps).sum(), maps)
    assert torch.allclose(gradient[0, 0].flatten(), lca_weights(3, 3))


@pytest.mark.parametrize("power", [1.0, 3.0, 100.0])
def test_gem_is_the_generalised_mean(power: float) -> None:
    maps = 10 * random_maps(5, 4)  # 30^100 is beyond float32
    found = make_pooling(spec("gem")) if power == 3 else GemPooling(power)
    assert torch.allclose(found(TokenMap(maps)), slow_gem(maps, power), rtol=1e-4)


def test_gem_goes_from_the_mean_to_the_maximum() -> None:
    maps = random_maps(5, 5).abs() + 0.1
    assert torch.allclose(GemPooling(1.0)(TokenMap(maps)), maps.mean((2, 3)), rtol=1e-5)
    assert torch.allclose(GemPooling(100.0)(TokenMap(maps)), maps.amax((2, 3)), rtol=0.05)


def test_gem_learns_its_power_as_the_plain_formula_does() -> None:
    maps = random_maps(4, 4)
    pooling = GemPooling(3.0)
    (found,) = torch.autograd.grad(pooling(TokenMap(maps)).sum(), pooling.p)
    power = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    values = maps.double().clamp_min(1e-6).flatten(2)
    (expected,) = torch.autograd.grad(values.pow(power).mean(2).pow(1 / power).sum(), power)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("size", [1, 2, 5, 7, 10])
def test_rmac_sums_the_maxima_of_regions(size: int) -> None:
    maps = random_maps(size, size)
    assert torch.allclose(rmac_pool(maps, 3), slow_rmac(maps, 3), atol=1e-6)


def test_rmac_has_the_regions_of_the_paper() -> None:
    assert rmac_regions(6, 6, 1) == [Region(0, 0, 6)]
    assert len(rmac_regions(7, 7, 3)) == 1 + 4 + 9
    # Along the longer side neighbours overlap by about 40%.
    assert rmac_regions(6, 10, 1) == [Region(0, 0, 6), Region(0, 4, 6)]
    assert rmac_regions(10, 6, 1) == [Region(0, 0, 6), Region(4, 0, 6)]


@pytest.mark.parametrize("size", SIZES)
def test_rmac_regions_lie_inside_the_map(size: tuple[int, int]) -> None:
    for top, left, side in rmac_regions(*size, 3):
        assert 0 <= top <= top + side <= size[0]
        assert 0 <= left <= left + side <= size[1]


def test_rmac_whitens_every_region_before_the_sum() -> None:
    maps = random_maps(2, 2)
    whitening = RegionWhitening(torch.randn(8), torch.randn(8, 3))
    pooling = RmacPooling(2, whitening)
    vectors = []
    for top, left, side in rmac_regions(2, 2, 2):
        area = maps[:, :, top : top + side, left : left + side].amax((2, 3))
        white = (normalize(area, dim=1) - whitening.mean) @ whitening.matrix
        vectors.append(normalize(white, dim=1))
    expected = normalize(torch.stack(vectors).sum(0), dim=1)
    assert torch.allclose(pooling(TokenMap(maps)), expected, atol=1e-6)
    assert pooling.output_dim(8) == 3


@pytest.mark.parametrize("pooling", [each for each in POOLINGS if each != "cls"])
@pytest.mark.parametrize("kind", BACKBONES)
def test_every_pooling_takes_the_maps_of_every_backbone(kind: str, pooling: str) -> None:
    name, side = BACKBONES[kind]
    torch.manual_seed(3)
    backbone = make_backbone(name)
    with torch.inference_mode():
        features = backbone.forward_features(torch.randn(2, 3, side, side))  # type: ignore[operator]
    maps = reference_map(kind, features)
    slow = {
        "avg": maps.flatten(2).mean(2),
        "max": maps.flatten(2).max(2).values,
        "gem": slow_gem(maps, 3.0),
        "lca": slow_lca(maps, "windows"),
        "rmac": slow_rmac(maps, 3),
    }
    found = make_pooling(spec(pooling))(token_map(backbone, features))
    assert found.dtype == torch.float32
    assert torch.allclose(found, slow[pooling], rtol=1e-4, atol=1e-5)


def reference_map(kind: str, features: Tensor) -> Tensor:
    if kind == "channels first":
        return features
    if kind == "channels last":
        return torch.stack([features[:, :, :, c] for c in range(features.shape[3])], dim=1)
    patches = features[:, 1:]  # after the class token
    side = math.isqrt(patches.shape[1])
    rows = [patches[:, row * side : (row + 1) * side].transpose(1, 2) for row in range(side)]
    return torch.stack(rows, dim=2)


def test_the_class_token_is_the_first_token() -> None:
    backbone = make_backbone("test_vit")
    with torch.inference_mode():
        images = torch.randn(2, 3, 160, 160)
        tokens = image_tokens(backbone, images)
        features = backbone.forward_features(images)  # type: ignore[operator]
    assert torch.equal(make_pooling(spec("cls"))(tokens), features[:, 0])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_in_float32(pooling: str) -> None:
    maps = random_maps(4, 4).bfloat16()
    tokens = TokenMap(maps, maps.flatten(2).transpose(1, 2)[:, :1], has_class=True)
    exact = TokenMap(
        maps.float(), tokens.prefix.float() if tokens.prefix is not None else None, True
    )
    module = make_pooling(spec(pooling))
    found = module(tokens)
    assert found.dtype == torch.float32
    assert torch.equal(found, module(exact))
