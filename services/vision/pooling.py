"""From a map of features to one vector, in float32 whatever the backbone computes in."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from services.core.domain.errors import InvalidArgument
from services.core.domain.model_spec import POOLINGS, ModelSpec
from services.vision.lca import lca_pool
from services.vision.rmac import RegionWhitening, rmac_pool
from services.vision.token_maps import TokenMap

_TINY = 1e-6  # GeM's least value, as in the authors' code


class Pooling(nn.Module, ABC):
    """Base: takes a TokenMap, gives float32 [n, d]."""

    @abstractmethod
    def forward(self, tokens: TokenMap) -> Tensor:
        """float32 [n, d]. Raises ValueError where the tokens have not what it reads."""

    def output_dim(self, channels: int) -> int:
        """d for maps of c channels."""
        return channels


class MapPooling(Pooling):
    """Base of those that read the map."""

    def forward(self, tokens: TokenMap) -> Tensor:
        if tokens.map is None:
            raise ValueError("there is no map to pool")
        return self.pool(tokens.map.float())

    @abstractmethod
    def pool(self, maps: Tensor) -> Tensor:
        """float32 [n, d] of float32 maps [n, c, h, w]."""


class AveragePooling(MapPooling):
    """The mean over all places."""

    def pool(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))


class MaxPooling(MapPooling):
    """The maximum over all places."""

    def pool(self, maps: Tensor) -> Tensor:
        return maps.amax((2, 3))


class GemPooling(MapPooling):
    """Generalised mean: (mean of x^p)^(1/p), of values raised to at least 1e-6.

    Radenovic, Tolias, Chum, "Fine-tuning CNN image retrieval with no human annotation" (2018),
    section 3.2. `p` is learnable: 1 is the mean, infinity the maximum.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([float(p)]))

    def pool(self, maps: Tensor) -> Tensor:
        values = maps.clamp_min(_TINY)
        # Relative to the highest: x^100 has no place in float32. It cancels out, gradients too.
        highest = values.detach().amax((2, 3), keepdim=True)
        means = (values / highest).pow(self.p).mean((2, 3))
        return highest[:, :, 0, 0] * means.pow(1 / self.p)


class ClassToken(Pooling):
    """The class token; the map is not read."""

    def forward(self, tokens: TokenMap) -> Tensor:
        if (token := tokens.class_token) is None:
            raise ValueError("there is no class token")
        return token.float()


class LcaPooling(MapPooling):
    """Local concepts accumulation, see lca."""

    def __init__(self, average: str) -> None:
        super().__init__()
        self.average = average

    def pool(self, maps: Tensor) -> Tensor:
        return lca_pool(maps, self.average)


class RmacPooling(MapPooling):
    """Regional maxima, see rmac. `whitening` is what the regions go through."""

    mean: Tensor
    matrix: Tensor

    def __init__(self, levels: int, whitening: RegionWhitening | None = None) -> None:
        super().__init__()
        self.levels = levels
        self.whitens = whitening is not None
        if whitening is not None:
            self.register_buffer("mean", whitening.mean.float())
            self.register_buffer("matrix", whitening.matrix.float())

    def pool(self, maps: Tensor) -> Tensor:
        whitening = RegionWhitening(self.mean, self.matrix) if self.whitens else None
        return rmac_pool(maps, self.levels, whitening)

    def output_dim(self, channels: int) -> int:
        return int(self.matrix.shape[1]) if self.whitens else channels


def make_pooling(spec: ModelSpec, whitening: RegionWhitening | None = None) -> Pooling:
    """The pooling of `spec`; `whitening` is for the regions of R-MAC."""
    match spec.pooling:
        case "max":
            return MaxPooling()
        case "gem":
            return GemPooling(spec.gem_p)
        case "cls":
            return ClassToken()
        case "lca":
            return LcaPooling(spec.lca_average)
        case "rmac":
            return RmacPooling(spec.rmac_levels, whitening)
        case _:
            return AveragePooling()


def poolings_for(tokens: TokenMap) -> tuple[str, ...]:
    """Names of the poolings that a backbone with such tokens can feed."""
    return tuple(
        each
        for each in POOLINGS
        if (tokens.class_token if each == "cls" else tokens.map) is not None
    )


def check_pooling(backbone: str, pooling: str, tokens: TokenMap) -> None:
    """Raises InvalidArgument (POOLING_UNSUPPORTED) that says what `backbone` can feed."""
    if pooling not in (able := poolings_for(tokens)):
        lacks = "class token" if pooling == "cls" else "feature map"
        raise InvalidArgument(
            f"pooling '{pooling}' needs a {lacks}, which backbone '{backbone}' does not give; "
            f"use {', '.join(able)}",
            reason="POOLING_UNSUPPORTED",
            metadata={"field": "pooling"},
        )
