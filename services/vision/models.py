"""Models by name: what is built in, and how a spec becomes an embedder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from services.core.domain.errors import FailedPrecondition, NotFound
from services.core.domain.model_spec import ModelSpec
from services.core.domain.recipes import EmbedderRecipe
from services.vision.builtin_weights import BUILTIN, builtin_file
from services.vision.describing import describe
from services.vision.embedder import ImageEmbedder
from services.vision.network import make_network
from services.vision.precision import best_precision
from services.vision.weights import file_sha256, read_weights

__all__ = ["best_precision", "builtin_model", "describe_local", "load_embedder"]

_HALF = (0.5, 0.5, 0.5)
_LITE_CHANNELS = 1280

Loader = Callable[[], ImageEmbedder]


def builtin_model(
    name: str, precision: str | None = None, device: str = "cpu"
) -> tuple[ModelSpec, Loader]:
    """The spec of a built-in model and what loads it: EfficientNet-Lite on ImageNet, "base" is
    Lite0, "lite1" and "lite2" are larger.

    `precision` is the processor's best unless given. Raises NotFound (UNKNOWN_MODEL).
    """
    if (builtin := BUILTIN.get(name)) is None:
        raise NotFound(
            f"no built-in model '{name}'; there is: {', '.join(BUILTIN)}", reason="UNKNOWN_MODEL"
        )
    spec = ModelSpec(
        backbone=builtin.backbone,
        weights_sha256=builtin.sha256,
        embedding_dim=_LITE_CHANNELS,
        resize=builtin.resize,
        crop=builtin.side,
        mean=_HALF,
        std=_HALF,
        precision=precision or best_precision(device),
    )
    return spec, lambda: load_embedder(spec, device=device)


def load_embedder(
    spec: ModelSpec, weights: Path | None = None, device: str = "cpu"
) -> ImageEmbedder:
    """The embedder of `spec` with the weights in the file `weights`, or built-in ones.

    Raises InvalidArgument, DataLoss and FailedPrecondition as weights, network and embedder do.
    """
    if weights is None and (weights := builtin_file(spec.weights_sha256)) is None:
        raise FailedPrecondition(
            f"weights {spec.weights_sha256[:12]} of '{spec.backbone}' are not built in: "
            "give their file",
            reason="WEIGHTS_NOT_FOUND",
        )
    state, _ = read_weights(weights, spec.weights_sha256)
    return ImageEmbedder(spec, make_network(spec, state, weights.name), device)


def describe_local(
    backbone: str, weights: Path, precision: str | None = None, device: str = "cpu"
) -> ModelSpec:
    """The spec of a timm model with weights in a local file, with timm's own pixel recipe.

    Raises InvalidArgument (UNKNOWN_BACKBONE) and FailedPrecondition (WEIGHTS_NOT_FOUND).
    """
    recipe = EmbedderRecipe(backbone=backbone, precision=precision or "")
    spec = describe(recipe, "0" * 64, device)
    return replace(spec, weights_sha256=file_sha256(weights))
