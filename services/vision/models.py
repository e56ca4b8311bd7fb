"""Models by name: what is built in, and how a spec becomes an embedder."""

from collections.abc import Callable
from pathlib import Path

import torch

from services.core.domain.errors import FailedPrecondition, NotFound
from services.core.domain.model_spec import ModelSpec
from services.vision.backbone import embedding_dim, make_backbone, natively_fast, pixel_recipe
from services.vision.embedder import ImageEmbedder
from services.vision.weights import LITE0_SHA256, file_sha256, lite0_file, load_into, read_weights

_HALF = (0.5, 0.5, 0.5)

Loader = Callable[[], ImageEmbedder]


def best_precision(device: str = "cpu") -> str:
    """bf16 where the processor has it, else fp32."""
    return "bf16" if natively_fast("bf16", torch.device(device)) else "fp32"


def builtin_model(
    name: str, precision: str | None = None, device: str = "cpu"
) -> tuple[ModelSpec, Loader]:
    """The spec of a built-in model and what loads it ("base": EfficientNet-Lite0 on ImageNet).

    `precision` is the processor's best unless given. Raises NotFound (UNKNOWN_MODEL).
    """
    if name != "base":
        raise NotFound(f"no built-in model '{name}'; there is: base", reason="UNKNOWN_MODEL")
    spec = ModelSpec(
        backbone="tf_efficientnet_lite0",
        weights_sha256=LITE0_SHA256,
        embedding_dim=1280,
        resize=256,  # 224 / 0.875, timm's evaluation crop for this model
        crop=224,
        mean=_HALF,
        std=_HALF,
        precision=precision or best_precision(device),
    )
    return spec, lambda: load_embedder(spec, device=device)


def load_embedder(
    spec: ModelSpec, weights: Path | None = None, device: str = "cpu"
) -> ImageEmbedder:
    """The embedder of `spec` with the weights in the file `weights`, or built-in ones.

    Raises InvalidArgument, DataLoss and FailedPrecondition as weights, backbone and embedder do.
    """
    if weights is None:
        if spec.weights_sha256 != LITE0_SHA256:
            raise FailedPrecondition(
                f"weights {spec.weights_sha256[:12]} of '{spec.backbone}' are not built in: "
                "give their file",
                reason="WEIGHTS_NOT_FOUND",
            )
        weights = lite0_file()
    backbone = make_backbone(spec.backbone)
    load_into(backbone, read_weights(weights, spec.weights_sha256), weights.name)
    return ImageEmbedder(spec, backbone, device)


def describe_local(
    backbone: str, weights: Path, precision: str | None = None, device: str = "cpu"
) -> ModelSpec:
    """The spec of a timm model with weights in a local file, with timm's own pixel recipe.

    Raises InvalidArgument (UNKNOWN_BACKBONE) and FailedPrecondition (WEIGHTS_NOT_FOUND).
    """
    model = make_backbone(backbone)
    if not weights.is_file():
        raise FailedPrecondition(f"no weights at '{weights}'", reason="WEIGHTS_NOT_FOUND")
    recipe = pixel_recipe(model)
    crop = int(recipe["input_size"][-1])
    return ModelSpec(
        backbone=backbone,
        weights_sha256=file_sha256(weights),
        embedding_dim=embedding_dim(model),
        resize=int(crop / float(recipe["crop_pct"])),
        crop=crop,
        mean=tuple(recipe["mean"]),
        std=tuple(recipe["std"]),
        interpolation=recipe["interpolation"],
        precision=precision or best_precision(device),
    )
