"""Small networks with fixed random weights, and pictures for them."""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from services.core.domain.model_spec import ModelSpec
from services.core.domain.pixel_views import bytes_of
from services.core.domain.recipes import EmbedderRecipe
from services.vision.backbone import make_backbone
from services.vision.describing import describe
from services.vision.embedder import ImageEmbedder
from services.vision.network import make_network
from services.vision.weights import State

SMALL = "test_efficientnet.r160_in1k"  # timm's own, 0.4 million parameters


def small_state(name: str = SMALL) -> State:
    """What an untrained backbone of a fixed seed holds, batch statistics included."""
    torch.manual_seed(4)
    backbone = make_backbone(name)
    for buffer, values in backbone.named_buffers():
        if buffer.endswith("running_mean"):
            values.uniform_(-0.2, 0.2)
        elif buffer.endswith("running_var"):
            values.uniform_(0.5, 2.0)
    return dict(backbone.state_dict())


def small_weights(folder: Path, suffix: str = "safetensors", name: str = SMALL) -> Path:
    """The same as a file."""
    state = small_state(name)
    path = folder / f"small.{suffix}"
    if suffix == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save({"state_dict": state}, path)
    return path


def small_spec(backbone: str = SMALL, **recipe: Any) -> ModelSpec:
    """The spec of a recipe, in fp32 unless it names a precision."""
    chosen = {"precision": "fp32"} | recipe
    return describe(EmbedderRecipe(backbone=backbone, **chosen), "0" * 64)


def small_embedder(backbone: str = SMALL, **recipe: Any) -> ImageEmbedder:
    """An embedder with small_state."""
    spec = small_spec(backbone, **recipe)
    return ImageEmbedder(spec, make_network(spec, small_state(backbone), "small"))


def pictures(count: int, side: int = 224, seed: int = 2) -> NDArray[np.uint8]:
    """uint8 [count, side, side, 3] of coloured squares."""
    rng = np.random.default_rng(seed)
    cells = -(-side // 16)
    coarse = rng.integers(0, 256, (count, cells, cells, 3), np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :side, :side]


def rows(spec: ModelSpec, count: int, seed: int = 2) -> NDArray[np.uint8]:
    """uint8 [count, bytes_of(spec.views)], every view of other pixels."""
    parts = [
        pictures(count, each.crop, seed + place).reshape(count, -1)
        for place, each in enumerate(spec.views)
    ]
    joined = np.concatenate(parts, axis=1)
    assert joined.shape[1] == bytes_of(spec.views)
    return joined
