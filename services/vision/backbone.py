"""timm backbones by name, built for the sizes of the images that they are to see."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, cast

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from services.core.domain.errors import InvalidArgument
from services.vision.timm_import import timm
from services.vision.token_maps import TokenMap, blank_tokens

_FILLING = {"normal_", "uniform_", "erfinv_", "mul_", "add_", "clamp_", "div_", "fill_", "zero_"}


def make_backbone(name: str, sides: Sequence[int] = ()) -> nn.Module:
    """An untrained timm model without classifier, in evaluation mode. Never uses the network.

    `sides` are those of the square images that it will see, in pixels; none: what its weights were
    trained with. Transformers whose position embeddings have a size get them interpolated: when
    weights are loaded for one side, in every pass for several. Raises InvalidArgument
    (UNKNOWN_BACKBONE) that names the three closest models, RESOLUTION_UNSUPPORTED.
    """
    if not sides:
        return _create(name)
    recipe = pixel_recipe(name)
    native = int(recipe["input_size"][-1])
    if set(sides) == {native} or not recipe.get("fixed_input_size"):
        return _create(name)
    choice = {"img_size": sides[0]} if len(set(sides)) == 1 else {"dynamic_img_size": True}
    try:
        return _create(name, **choice)
    except TypeError:  # it has no such parameter: check_sides tells whether it needs one
        return _create(name)
    except (AssertionError, ValueError, RuntimeError) as error:
        raise _wrong_side(name, sides, error) from error


def outline(name: str, sides: Sequence[int] = ()) -> nn.Module:
    """As make_backbone, without memory for its weights: to ask for names and shapes."""
    with torch.device("meta"), _NoValues():
        return make_backbone(name, sides)


def embedding_dim(backbone: nn.Module) -> int:
    """Channels of the feature map, which poolings keep."""
    return int(cast(int, backbone.num_features))


def pixel_recipe(name: str) -> dict[str, Any]:
    """What timm knows of a backbone: input_size, crop_pct, interpolation, mean, std and more.

    Raises InvalidArgument (UNKNOWN_BACKBONE).
    """
    _check_name(name)
    if name.partition(".")[0] in timm.models.get_deprecated_models():
        return cast(dict[str, Any], outline(name).pretrained_cfg)  # a name of timm's past
    plain, _, tag = name.partition(".")
    return asdict(timm.models.resolve_pretrained_cfg(plain, tag or None))


def check_sides(name: str, backbone: nn.Module, sides: Sequence[int]) -> TokenMap:
    """Passes a blank image of every side through; what the last gave.

    Raises InvalidArgument: RESOLUTION_UNSUPPORTED that names the side and what is possible, and
    BACKBONE_UNSUPPORTED as token_map does.
    """
    tokens = TokenMap(None)
    native = int(pixel_recipe(name)["input_size"][-1])
    for side in sides:
        patch = _patch(backbone)
        # Some were made for a side that is none: they leave the rest out.
        if patch and side % patch and {*sides} != {native}:
            nearest = max(1, round(side / patch)) * patch
            raise _refused(
                name, side, f"it takes multiples of {patch} pixels, {nearest} is the nearest"
            )
        try:
            tokens = blank_tokens(backbone, side)
        except (AssertionError, ValueError, RuntimeError, IndexError) as error:
            raise _wrong_side(name, [side], error) from error
    return tokens


class _NoValues(TorchFunctionMode):
    """Leaves out what changes the values of weights that have no memory: torch's compiler would
    work out their shapes, and takes seconds to be imported."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", "") in _FILLING:
            tensor = args[0] if args else (kwargs or {})["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **(kwargs or {}))


def _create(name: str, **choice: Any) -> nn.Module:
    _check_name(name)
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **choice)
    return model.eval()


def _check_name(name: str) -> None:
    plain, _, tag = name.partition(".")  # "resnet50.a1_in1k": the part after the dot names weights
    if not timm.is_model(plain):
        raise _unknown(name, timm.list_models())
    if tag and name not in (known := [*timm.models.get_arch_pretrained_cfgs(plain)]):
        raise _unknown(name, known or [plain])


def _unknown(name: str, known: Sequence[str]) -> InvalidArgument:
    dotted = any("." in each for each in known)
    close = difflib.get_close_matches(name if dotted else name.partition(".")[0], known, 3, 0.0)
    return InvalidArgument(
        f"'{name}' is no timm model; did you mean {', '.join(close)}?",
        reason="UNKNOWN_BACKBONE",
        metadata={"field": "backbone"},
    )


def _patch(backbone: nn.Module) -> int:
    """Side of the squares that a transformer without windows cuts images into; 0 for others."""
    size = getattr(getattr(backbone, "patch_embed", None), "patch_size", None)
    if size is None or getattr(backbone, "num_prefix_tokens", None) is None:
        return 0
    return int(size[0] if isinstance(size, Sequence) else size)


def _wrong_side(name: str, sides: Sequence[int], error: Exception) -> InvalidArgument:
    native = int(pixel_recipe(name)["input_size"][-1])
    detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    shown = " and ".join(str(each) for each in sides)
    return _refused(name, shown, f"{detail}; {native} is what it was made for")


def _refused(name: str, shown: int | str, problem: str) -> InvalidArgument:
    return InvalidArgument(
        f"backbone '{name}' cannot take images of {shown} pixels: {problem}",
        reason="RESOLUTION_UNSUPPORTED",
        metadata={"field": "resolutions"},
    )
