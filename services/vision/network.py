"""A backbone, its pooling and its projection head as one module."""

from typing import cast

import torch
from torch import Tensor, nn

from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.domain.model_spec import ModelSpec
from services.vision.backbone import check_sides, make_backbone
from services.vision.pooling import Pooling, check_pooling, make_pooling
from services.vision.rmac import RegionWhitening
from services.vision.token_maps import TokenMap, image_tokens
from services.vision.weight_names import FittedWeights, fit_weights, load_fitted
from services.vision.weights import State


class EmbeddingNetwork(nn.Module):
    """Images float [n, 3, side, side] to embeddings float32 [n, d].

    The backbone may compute in another type; pooling and projection stay in float32.
    """

    def __init__(
        self, backbone: nn.Module, pooling: Pooling, projection: nn.Linear | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.projection = projection

    def tokens(self, images: Tensor) -> TokenMap:
        """What the backbone gives before pooling."""
        return image_tokens(self.backbone, images)

    def forward(self, images: Tensor) -> Tensor:
        pooled = cast(Tensor, self.pooling(self.tokens(images)))
        return pooled if self.projection is None else cast(Tensor, self.projection(pooled))


def make_network(spec: ModelSpec, state: State, source: str) -> EmbeddingNetwork:
    """The network of `spec` with the tensors of a file, which messages call `source`.

    Raises InvalidArgument as make_backbone, check_sides, check_pooling and fit_weights do, and
    FailedPrecondition (WRONG_EMBEDDING_DIM).
    """
    sides = [each.crop for each in spec.views]
    backbone = make_backbone(spec.backbone, sides)
    fitted = fit_weights(backbone, state, source)
    load_fitted(backbone, fitted)
    tokens = check_sides(spec.backbone, backbone, sides)
    check_pooling(spec.backbone, spec.pooling, tokens)
    pooling = make_pooling(spec, region_whitening(fitted))
    channels = pooling.output_dim(tokens.channels)
    projection = make_projection(spec.head_dim, channels, fitted, source)
    if (found := spec.head_dim or channels) != spec.embedding_dim:
        raise FailedPrecondition(
            f"'{spec.backbone}' has {found} channels, the model says {spec.embedding_dim}",
            reason="WRONG_EMBEDDING_DIM",
        )
    return EmbeddingNetwork(backbone, pooling, projection).eval()


def region_whitening(fitted: FittedWeights) -> RegionWhitening | None:
    """What the file has for R-MAC's regions, under `pooling.mean` and `pooling.matrix`."""
    mean, matrix = fitted.parts.get("pooling.mean"), fitted.parts.get("pooling.matrix")
    return None if mean is None or matrix is None else RegionWhitening(mean, matrix)


def make_projection(
    head_dim: int, channels: int, fitted: FittedWeights, source: str
) -> nn.Linear | None:
    """The projection head from `projection.weight` [head_dim, channels] and `projection.bias`.

    None where `head_dim` is 0. Raises InvalidArgument (WEIGHTS_MISMATCH) where the file has none.
    """
    if not head_dim:
        return None
    weight, bias = fitted.parts.get("projection.weight"), fitted.parts.get("projection.bias")
    if weight is None or tuple(weight.shape) != (head_dim, channels):
        has = "no" if weight is None else f"a {list(weight.shape)}"
        raise InvalidArgument(
            f"weights '{source}' have {has} projection head: head_dim {head_dim} needs "
            f"'projection.weight' of shape [{head_dim}, {channels}]",
            reason="WEIGHTS_MISMATCH",
            metadata={"field": "head_dim"},
        )
    projection = nn.Linear(channels, head_dim, bias=bias is not None)
    with torch.no_grad():
        projection.weight.copy_(weight)
        if bias is not None:
            projection.bias.copy_(bias)
    return projection
