"""What any backbone gives before pooling, as one map of features and the tokens beside it."""

import math
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from services.core.domain.errors import InvalidArgument

# timm's names of layouts whose channels come last.
_CHANNELS_LAST = ("NHWC",)


class TokenMap(NamedTuple):
    """Features of images, of any floating type.

    `map` is [n, c, h, w], a view where the backbone has another layout; None where a backbone keeps
    nothing but tokens that stand for the whole image. `prefix` holds the tokens beside the map, [n,
    p, c], the class token first where `has_class`; None for CNNs.
    """

    map: Tensor | None
    prefix: Tensor | None = None
    has_class: bool = False

    @property
    def class_token(self) -> Tensor | None:
        """[n, c], None without one."""
        return self.prefix[:, 0] if self.has_class and self.prefix is not None else None

    @property
    def channels(self) -> int:
        if self.map is not None:
            return int(self.map.shape[1])
        return int(self.prefix.shape[2]) if self.prefix is not None else 0


def token_map(backbone: nn.Module, features: object) -> TokenMap:
    """The map of what `backbone.forward_features` gave for square images.

    Knows maps with channels first (CNNs) or last (Swin), and sequences of tokens (ViT) with class,
    distillation and register tokens before those of the map. Raises InvalidArgument
    (BACKBONE_UNSUPPORTED) for anything else, such as the lists of backbones with two branches.
    """
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        raise _unsupported(backbone, f"gives {_described(features)} for an image")
    if features.ndim == 4:
        first = not _channels_last(backbone, features)
        return TokenMap(features if first else features.permute(0, 3, 1, 2))
    return _of_sequence(backbone, features)


def image_tokens(backbone: nn.Module, images: Tensor) -> TokenMap:
    """The map of images [n, 3, side, side]. Raises as token_map does."""
    forward = cast(Callable[[Tensor], object], backbone.forward_features)
    return token_map(backbone, forward(images))


def blank_tokens(backbone: nn.Module, side: int) -> TokenMap:
    """The map of one blank image of `side` pixels, on the backbone's device and in its type."""
    like = next(backbone.parameters())
    with torch.inference_mode(), like.device:  # an outline makes its own tensors there, too
        return image_tokens(backbone, torch.zeros(1, 3, side, side, dtype=like.dtype))


def name_of(backbone: nn.Module) -> str:
    """timm's name of the architecture, for messages."""
    recipe = getattr(backbone, "pretrained_cfg", None) or {}
    return str(recipe.get("architecture") or type(backbone).__name__)


def _channels_last(backbone: nn.Module, features: Tensor) -> bool:
    layout = getattr(backbone, "output_fmt", None)
    if layout is not None:
        return str(getattr(layout, "value", layout)) in _CHANNELS_LAST
    channels = getattr(backbone, "num_features", None)
    return features.shape[1] != channels and features.shape[3] == channels


def _of_sequence(backbone: nn.Module, tokens: Tensor) -> TokenMap:
    has_class = getattr(backbone, "cls_token", None) is not None
    declared = getattr(backbone, "num_prefix_tokens", None)
    beside = int(has_class) if declared is None else int(declared)
    side = math.isqrt(tokens.shape[1] - beside)
    if side * side != tokens.shape[1] - beside:
        raise _unsupported(backbone, f"gives {tokens.shape[1]} tokens, which are no square map")
    prefix = tokens[:, :beside] if beside else None
    if side == 0:
        return TokenMap(None, prefix, has_class)
    grid = tokens[:, beside:].transpose(1, 2).reshape(len(tokens), -1, side, side)
    return TokenMap(grid, prefix, has_class)


def _described(features: object) -> str:
    if isinstance(features, Tensor):
        return f"a tensor of shape {list(features.shape)}"
    return f"a {type(features).__name__}"


def _unsupported(backbone: nn.Module, problem: str) -> InvalidArgument:
    return InvalidArgument(
        f"backbone '{name_of(backbone)}' {problem}: no pooling can use that; choose another one",
        reason="BACKBONE_UNSUPPORTED",
    )
