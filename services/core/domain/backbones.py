"""What timm's backbones are like, known without torch, so that bad recipes are refused at once.

The table in backbones.json holds the timm version that it was made from; after an update of timm,
`python -m tests.generate_backbones` makes it anew.
"""

import difflib
import functools
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any, NoReturn

from services.core.domain.errors import InvalidArgument
from services.core.domain.model_spec import POOLINGS, ModelSpec
from services.core.domain.recipes import EmbedderRecipe

_ANY_DIGEST = "0" * 64
_ANY_TRIPLE = (0.5, 0.5, 0.5)
_LARGEST_SIDE = 1024  # of a ModelSpec
_LONGEST_NAME = 100  # timm's longest has 71 characters; comparing takes time


@dataclass(frozen=True, slots=True)
class Backbone:
    """A timm architecture, with one of its pretrained weights where a tag is given.

    `features` is the length of every vector of the feature map, and of an embedding without head.
    `token_map` is how forward_features lays the map out: "nchw", "nhwc", "tokens" ([n, positions,
    features], class and register tokens first); "none" where there are tokens for the whole image
    and no map, "other" where no pooling can use what it gives.
    `side` is the input in pixels that the weights were made for. Of other sides at least `smallest`
    any multiple of `alone` works where it is the only one, of `together` beside others; 0: none.
    """

    name: str
    tag: str
    features: int
    token_map: str
    class_token: bool
    side: int
    alone: int
    together: int
    smallest: int

    @property
    def poolings(self) -> tuple[str, ...]:
        """Those of ModelSpec that the feature map or the class token can feed."""
        has_map = self.token_map in ("nchw", "nhwc", "tokens")
        return tuple(each for each in POOLINGS if (self.class_token if each == "cls" else has_map))

    def multiple(self, sides: Collection[int]) -> int:
        """What must divide `sides` where a model embeds images of them all; 0 for impossible."""
        return self.together if len(sides) > 1 else self.alone

    def takes(self, sides: Collection[int]) -> bool:
        """Whether one model can embed square images of all `sides`, in pixels."""
        if set(sides) <= {self.side}:
            return True
        multiple = self.multiple(sides)
        return multiple > 0 and all(_fits(each, multiple, self.smallest) for each in sides)


def find(backbone: str) -> Backbone:
    """The backbone with this timm name, with or without the part after the dot that names weights.

    Raises InvalidArgument (UNKNOWN_BACKBONE) that names the three closest models, or the tags that
    there are.
    """
    if not isinstance(backbone, str):
        raise InvalidArgument.field("backbone", "name a timm model", reason="UNKNOWN_BACKBONE")
    name, dot, tag = backbone.partition(".")
    rows = _table()
    if name not in rows:
        close = difflib.get_close_matches(name[:_LONGEST_NAME], rows, n=3, cutoff=0.0)
        _refuse_name(f"'{_shown(backbone)}' is no timm model; did you mean {', '.join(close)}?")
    row = rows[name]
    sides = {tag: side for side, tags in row["tags"].items() for tag in tags.split()}
    if dot and tag not in sides:
        there_are = f"there are: {', '.join(sides)}" if sides else "timm has none"
        _refuse_name(f"'{name}' has no pretrained weights '{_shown(tag)}'; {there_are}")
    return Backbone(
        name=name,
        tag=tag,
        features=row["features"],
        token_map=row["map"],
        class_token=row["class_token"],
        side=int(sides.get(tag, row["side"])),
        alone=row["alone"],
        together=row["together"],
        smallest=row["smallest"],
    )


def feature_count(backbone: str) -> int:
    """Length of the vectors that `backbone` gives to poolings. Raises as find does."""
    return find(backbone).features


def check_recipe(recipe: EmbedderRecipe) -> None:
    """Passes what a worker could make a ModelSpec of, as far as that is known without weights.

    Raises InvalidArgument: UNKNOWN_BACKBONE, BACKBONE_UNSUPPORTED where no pooling can use it,
    POOLING_UNSUPPORTED where it cannot feed the one wanted, RESOLUTION_UNSUPPORTED where its input
    cannot have such sides, INVALID_MODEL_SPEC and INVALID_DIGEST for values that no ModelSpec has.
    """
    backbone = find(recipe.backbone)
    _check_values(recipe, backbone)
    _check_pooling(recipe, backbone)
    if not backbone.takes(recipe.resolutions):
        raise InvalidArgument.field(
            "resolutions",
            _unfit_sides(backbone, recipe.resolutions),
            reason="RESOLUTION_UNSUPPORTED",
        )
    if recipe.distance == "cosine" and not recipe.normalised:
        raise InvalidArgument.field(
            "normalised",
            "the cosine of vectors does not depend on their lengths: use true, or distance "
            "euclidean or manhattan",
            reason="INVALID_MODEL_SPEC",
        )


def timm_version() -> str:
    """The version of timm that the table was made from."""
    return str(_file()["timm"])


def names() -> tuple[str, ...]:
    """Every architecture, without tags."""
    return tuple(_table())


def tags(name: str) -> tuple[str, ...]:
    """The pretrained weights of an architecture in `names()`."""
    return tuple(tag for each in _table()[name]["tags"].values() for tag in each.split())


def _check_values(recipe: EmbedderRecipe, backbone: Backbone) -> None:
    """Builds the ModelSpec that could come of it, which checks itself."""
    chosen: dict[str, Any] = asdict(recipe)
    if recipe.weights_sha256 == "":
        chosen["weights_sha256"] = _ANY_DIGEST
    if recipe.precision == "":
        chosen["precision"] = "fp32"
    ModelSpec(
        **chosen,
        embedding_dim=recipe.head_dim or backbone.features or 1,
        resize=backbone.side,
        crop=backbone.side,
        mean=_ANY_TRIPLE,
        std=_ANY_TRIPLE,
    )


def _check_pooling(recipe: EmbedderRecipe, backbone: Backbone) -> None:
    if not backbone.poolings:
        raise InvalidArgument.field(
            "backbone",
            f"'{backbone.name}' gives nothing that could be pooled: use another one",
            reason="BACKBONE_UNSUPPORTED",
        )
    if recipe.pooling not in backbone.poolings:
        lacks = "class token" if recipe.pooling == "cls" else "feature map"
        raise InvalidArgument.field(
            "pooling",
            f"'{backbone.name}' has no {lacks} for '{recipe.pooling}': "
            f"use {', '.join(backbone.poolings)}",
            reason="POOLING_UNSUPPORTED",
        )
    if recipe.autocrop and backbone.token_map == "none":
        raise InvalidArgument.field(
            "autocrop",
            f"'{backbone.name}' has no feature map to find the object in: use 0",
            reason="POOLING_UNSUPPORTED",
        )


def _unfit_sides(backbone: Backbone, sides: Collection[int]) -> str:
    multiple, least = backbone.multiple(sides), backbone.smallest
    if not multiple:
        only = "of one side only" if backbone.alone else f"of {backbone.side} pixels only"
        return f"'{backbone.name}' takes images {only}: use {backbone.side}"
    wrong = next(each for each in sides if not _fits(each, multiple, least))
    below = wrong // multiple * multiple
    above_least = {
        max(each, -(-least // multiple) * multiple) for each in (below, below + multiple)
    }
    nearest = sorted(each for each in above_least if each <= _LARGEST_SIDE)
    divides = f" that {multiple} divides" if multiple > 1 else ""
    return (
        f"'{backbone.name}' takes sides from {least} pixels on{divides}, not {wrong}: "
        f"use {' or '.join(map(str, nearest))}"
    )


def _fits(side: int, multiple: int, least: int) -> bool:
    return side >= least and side % multiple == 0


def _shown(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def _refuse_name(problem: str) -> NoReturn:
    raise InvalidArgument.field("backbone", problem, reason="UNKNOWN_BACKBONE")


@functools.cache
def _file() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("backbones.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    columns = _file()["columns"]
    rows = _file()["architectures"].items()
    return {name: dict(zip(columns, row, strict=True)) for name, row in rows}
