"""Recipes: what makes embeddings, and what happens to a ranking; and the steps of the ablation."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from shelflens.model_options import ModelOptions
from shelflens.values import Expand, RankingStages, Rerank

LITE0, LITE1, LITE2 = (f"tf_efficientnet_lite{each}" for each in range(3))


@dataclass(frozen=True, slots=True)
class Embedding:
    """One backbone; see ModelOptions. `side` in pixels, 0: the backbone's own."""

    backbone: str = LITE0
    side: int = 0
    pooling: str = "avg"
    flip: bool = False

    @property
    def name(self) -> str:
        parts = [self.backbone.removeprefix("tf_efficientnet_"), str(self.side or "own")]
        parts += [self.pooling] if self.pooling != "avg" else []
        parts += ["flip"] if self.flip else []
        return "-".join(parts)

    def options(self) -> ModelOptions:
        """Of `create_model`."""
        made = ModelOptions(backbone=self.backbone, pooling=self.pooling, flip=self.flip)
        if self.side:
            made["resolutions"] = (self.side,)
        return made


@dataclass(frozen=True, slots=True)
class Linear:
    """A whitening or PCA of the gallery. `dimension` 0: all values."""

    kind: str = "whitening"
    dimension: int = 0
    shrinkage: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.dimension or 'all'}" + (
            f"-s{self.shrinkage:g}" if self.kind == "whitening" else ""
        )

    @property
    def label(self) -> str:
        """For tables."""
        kept = f"{self.dimension or 'all'} values"
        return f"PCA, {kept}" if self.kind == "pca" else f"{kept}, shrinkage {self.shrinkage:g}"

    def options(self, base: str, catalog: str) -> ModelOptions:
        """Of `create_model`."""
        made = ModelOptions(base=base, dimension=self.dimension or None)
        if self.kind == "pca":
            made["pca_from"] = catalog
        else:
            made["whitening_from"] = catalog
            made["shrinkage"] = self.shrinkage
        return made


@dataclass(frozen=True, slots=True)
class Recipe:
    """Several members are an ensemble; each has the linear part of its own."""

    members: tuple[Embedding, ...] = (Embedding(),)
    linear: Linear | None = None
    stages: RankingStages = field(default_factory=RankingStages)

    @property
    def stages_key(self) -> str:
        """Equal exactly for equal stages."""
        return json.dumps(asdict(self.stages), sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Option:
    """A recipe that a step tries."""

    label: str
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Step:
    """Makes options of the recipe so far; what is chosen of them, or none, is the next."""

    name: str
    options: Callable[[Recipe], list[Option]]


def _resolution(recipe: Recipe) -> list[Option]:
    return [Option(f"{side} pixels", _embedding(recipe, side=side)) for side in (256, 288)]


def _pooling(recipe: Recipe) -> list[Option]:
    return [
        Option(pooling, _embedding(recipe, pooling=pooling))
        for pooling in ("gem", "max", "lca", "rmac")
    ]


def _flip(recipe: Recipe) -> list[Option]:
    return [Option("with the mirror image", _embedding(recipe, flip=True))]


def _whitening(recipe: Recipe) -> list[Option]:
    linears = [
        *(Linear(shrinkage=each) for each in (0.1, 0.3, 0.5, 0.8, 0.9)),
        *(Linear(dimension=128, shrinkage=each) for each in (0.0, 0.1, 0.3)),
        Linear(dimension=256, shrinkage=0.3),
        *(Linear("pca", each) for each in (128, 256)),
    ]
    return [Option(each.label, replace(recipe, linear=each)) for each in linears]


def _expansion(recipe: Recipe) -> list[Option]:
    stages = [
        *(Expand(each, "average") for each in (1, 2, 5)),
        *(Expand(each, "alpha") for each in (2, 5)),
    ]
    return [
        Option(
            f"{each.method}, {each.neighbours}",
            replace(recipe, stages=replace(recipe.stages, expand=each)),
        )
        for each in stages
    ]


def _reranking(recipe: Recipe) -> list[Option]:
    stages = [Rerank(), Rerank(k1=4, k2=2, weight=0.8)]
    return [
        Option(
            f"k1 {each.k1}, k2 {each.k2}, weight {each.weight:g}",
            replace(recipe, stages=replace(recipe.stages, rerank=each)),
        )
        for each in stages
    ]


def _ensemble(recipe: Recipe) -> list[Option]:
    (first,) = recipe.members
    one, two = (replace(first, backbone=each) for each in (LITE1, LITE2))
    linears = [("", recipe.linear)]
    linears += [(", whitened", Linear(shrinkage=0.9))] if not recipe.linear else []
    return [
        Option(f"{label}{name}", replace(recipe, members=members, linear=linear))
        for name, linear in linears
        for label, members in (
            ("lite2 alone", (two,)),
            ("lite0 + lite1", (first, one)),
            ("lite0 + lite1 + lite2", (first, one, two)),
        )
    ]


BASE = Recipe()
# Poolings before the mirror image, which doubles what every later embedding costs.
STEPS = (
    Step("resolution", _resolution),
    Step("pooling", _pooling),
    Step("flip", _flip),
    Step("whitening", _whitening),
    Step("expansion", _expansion),
    Step("re-ranking", _reranking),
    Step("ensemble", _ensemble),
)


def _embedding(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, members=tuple(replace(each, **changes) for each in recipe.members))
