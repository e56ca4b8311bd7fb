"""What is known of backbones without torch is what timm and the workers say."""

import random

import pytest
import torch
from torch import nn

from services.core.domain import backbones
from services.core.domain.errors import InvalidArgument
from services.core.domain.model_spec import POOLINGS
from services.core.domain.recipes import EmbedderRecipe
from services.vision.backbone import outline
from services.vision.describing import check_abilities, describe
from services.vision.timm_import import timm

MAKE_ANEW = "run `python -m tests.generate_backbones`"
SLOW_TO_BUILD = ("giant", "gigant", "huge", "xlarge", "_5b", "_7b", "_3b", "_1b", "enormous")
SIDES = ((), (224,), (256,), (288,), (224, 448), (192, 384), (252,), (300,), (64,), (16,), (225,))
SEED = 5


def test_the_table_was_made_from_the_installed_timm() -> None:
    assert backbones.timm_version() == timm.__version__, MAKE_ANEW


def test_every_architecture_of_timm_is_known() -> None:
    assert set(backbones.names()) == set(timm.list_models()), MAKE_ANEW


def test_every_pretrained_tag_of_timm_is_known_with_its_side() -> None:
    known = {f"{name}.{tag}" for name in backbones.names() for tag in backbones.tags(name)}
    assert known == set(timm.list_pretrained()), MAKE_ANEW
    assert {each: backbones.find(each).side for each in known} == {
        each: _side_by_timm(each) for each in known
    }, MAKE_ANEW


def _sample(count: int) -> list[str]:
    names = [each for each in backbones.names() if not any(big in each for big in SLOW_TO_BUILD)]
    return random.Random(SEED).sample(names, count)


@pytest.mark.slow
@pytest.mark.parametrize("name", _sample(25))
def test_a_recipe_is_taken_where_a_worker_can_make_it(name: str) -> None:
    choose = random.Random(f"{SEED} {name}")
    pooled = EmbedderRecipe(backbone=name, pooling=choose.choice(POOLINGS))
    assert _at_the_gateway(pooled) == _at_a_worker(pooled), pooled
    resized = EmbedderRecipe(backbone=name, resolutions=choose.choice(SIDES))
    found, expected = _at_the_gateway(resized), _at_a_worker(resized)
    if isinstance(found, int):
        assert found == expected, resized
    elif isinstance(expected, int):
        # timm would leave out pixels beyond the last whole patch, the gateway names a better side.
        assert resized.resolutions[0] % backbones.find(name).alone, resized


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "resnet18"]
)
def test_layouts_are_those_of_timm(name: str) -> None:
    found = backbones.find(name)
    with torch.inference_mode():
        shape = _features(outline(name), found.side).shape
    match found.token_map:
        case "tokens":
            assert len(shape) == 3
            assert shape[2] == found.features
        case "nhwc":
            assert shape[3] == found.features
        case _:
            assert found.token_map == "nchw"
            assert shape[1] == found.features


def _side_by_timm(name: str) -> int:
    recipe = timm.models.get_pretrained_cfg(name)
    assert recipe is not None
    return int(recipe.input_size[-1])


def _features(backbone: nn.Module, side: int) -> torch.Tensor:
    found: torch.Tensor = backbone.forward_features(  # type: ignore[operator]
        torch.zeros(1, 3, side, side, device="meta")
    )
    return found


def _at_the_gateway(recipe: EmbedderRecipe) -> int | str:
    """The length of the embeddings, or why there are none."""
    try:
        backbones.check_recipe(recipe)
    except InvalidArgument as error:
        return error.reason
    return backbones.feature_count(recipe.backbone)


def _at_a_worker(recipe: EmbedderRecipe) -> int | str:
    try:
        spec = describe(recipe, "0" * 64)
        check_abilities(spec)
    except InvalidArgument as error:
        return error.reason
    return spec.embedding_dim
