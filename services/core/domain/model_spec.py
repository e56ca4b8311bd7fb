"""What an embedder is: enough to compute the same embedding of a picture anywhere; no weights."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from services.core.domain.errors import InvalidArgument
from services.core.domain.names import check_digest

Triple = tuple[float, float, float]

POOLINGS = ("avg", "max", "gem", "cls", "lca", "rmac")
FITS = ("crop", "pad")
LCA_AVERAGES = ("windows", "sizes")
DISTANCES = ("cosine", "euclidean", "manhattan")
PRECISIONS = ("bf16", "fp32")
INTERPOLATIONS = ("bicubic", "bilinear", "lanczos")
MOST_RESOLUTIONS = 8
# Left out of the JSON where they have their default, so that specs from before have their digest.
_LATER = (
    "resolutions",
    "fit",
    "flip",
    "autocrop",
    "gem_p",
    "lca_average",
    "rmac_levels",
    "head_dim",
)


class View(NamedTuple):
    """One square of pixels that is cut out of an image: sides in pixels, see PixelRecipe."""

    resize: int
    crop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The embedder part of a model. Raises InvalidArgument (INVALID_MODEL_SPEC) for bad values.

    `backbone` is a timm name, `weights_sha256` the digest of its weights file. `resize` (shorter
    side) and `crop` (square) are pixels, `mean` and `std` belong to RGB values in [0, 1].

    The embeddings of all `resolutions` (sides of squares; none: `crop` alone), and with `flip` of
    their mirror images, are averaged. `fit` "pad" shows the whole image, letterboxed, "crop" its
    centre. `autocrop` in (0, 1] embeds only the box around the places of the feature map with at
    least this share of its highest energy; 0 the whole image. `head_dim` is the length that a
    projection head after the pooling gives, 0 without one.
    """

    backbone: str
    weights_sha256: str
    embedding_dim: int
    resize: int
    crop: int
    mean: Triple
    std: Triple
    precision: str
    interpolation: str = "bicubic"
    pooling: str = "avg"
    distance: str = "cosine"
    normalised: bool = True
    resolutions: tuple[int, ...] = ()
    fit: str = "crop"
    flip: bool = False
    autocrop: float = 0.0
    gem_p: float = 3.0
    lca_average: str = "windows"
    rmac_levels: int = 3
    head_dim: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.weights_sha256, str):
            raise _invalid("weights_sha256", "use 64 hex digits in quotes")
        check_digest(self.weights_sha256, "weights_sha256")
        _one_of("pooling", self.pooling, POOLINGS)
        _one_of("distance", self.distance, DISTANCES)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("interpolation", self.interpolation, INTERPOLATIONS)
        if not isinstance(self.backbone, str) or not self.backbone:
            raise _invalid("backbone", "name a timm model")
        _one_of("fit", self.fit, FITS)
        _one_of("lca_average", self.lca_average, LCA_AVERAGES)
        for flag in ("normalised", "flip"):
            if not isinstance(getattr(self, flag), bool):
                raise _invalid(flag, "use true or false")
        self._check_recipe()
        for name in ("embedding_dim", "resize", "crop"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= 65536:
                raise _invalid(name, f"{value!r} is not a whole number from 1 to 65536")
        if self.crop > self.resize:
            raise _invalid("crop", f"{self.crop} is larger than resize {self.resize}")
        object.__setattr__(self, "mean", _triple("mean", self.mean))
        object.__setattr__(self, "std", _triple("std", self.std))
        if min(self.std) <= 0:
            raise _invalid("std", "must be positive")

    def _check_recipe(self) -> None:
        try:
            sides = tuple(self.resolutions)
        except TypeError as error:
            raise _invalid("resolutions", "give a list of numbers") from error
        if not all(type(each) is int and 16 <= each <= 1024 for each in sides):
            raise _invalid("resolutions", f"{sides} are not all whole numbers from 16 to 1024")
        if len(sides) > MOST_RESOLUTIONS or sorted(set(sides)) != list(sides):
            raise _invalid("resolutions", f"give at most {MOST_RESOLUTIONS}, each once, ascending")
        object.__setattr__(self, "resolutions", sides)
        for name, lowest, highest in (("autocrop", 0.0, 1.0), ("gem_p", 1.0, 100.0)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not lowest <= value <= highest:
                raise _invalid(name, f"{value!r} is not from {lowest:g} to {highest:g}")
            object.__setattr__(self, name, float(value))
        for name, most in (("rmac_levels", 5), ("head_dim", 65536)):
            if type(value := getattr(self, name)) is not int or not 0 <= value <= most:
                raise _invalid(name, f"{value!r} is not a whole number from 0 to {most}")
        if self.rmac_levels < 1:
            raise _invalid("rmac_levels", "use 1 to 5")
        if self.head_dim and self.head_dim != self.embedding_dim:
            raise _invalid("embedding_dim", f"the head gives {self.head_dim} values")

    @property
    def views(self) -> tuple[View, ...]:
        """The squares that are cut out of every image, smallest first; what `crop` keeps of the
        resized image is the same at every resolution."""
        sides = self.resolutions or (self.crop,)
        return tuple(View(max(side, side * self.resize // self.crop), side) for side in sides)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hex digits: the name under which embeddings lie."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, shortest floats. Equal specs, equal text."""
        return canonical_json(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """JSON values by name, without later fields that have their default."""
        defaults = {each.name: each.default for each in fields(self) if each.name in _LATER}
        values = asdict(self)
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in values.items()
            if key not in defaults or value != defaults[key]
        }

    @classmethod
    def from_json(cls, text: str) -> "ModelSpec":
        """The spec that `text` describes. Unknown and missing keys are refused by name."""
        try:
            values: Any = json.loads(text)
        except ValueError as error:
            raise _invalid("model", f"no JSON: {error}") from error
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Any) -> "ModelSpec":
        """As from_json, of what was JSON."""
        if not isinstance(values, dict):
            raise _invalid("model", "no JSON object")
        known = {each.name for each in fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise _invalid(unknown[0], "unknown key")
        if missing := sorted(known - values.keys() - set(_LATER)):
            raise _invalid(missing[0], "missing key")
        return cls(**values)


def canonical_json(values: Any) -> str:
    """Sorted keys, no spaces, shortest floats: equal values, equal text."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _triple(name: str, values: Any) -> Triple:
    try:
        red, green, blue = (float(each) for each in values)
    except (TypeError, ValueError) as error:
        raise _invalid(name, "give three numbers, for red, green and blue") from error
    if not all(math.isfinite(each) for each in (red, green, blue)):
        raise _invalid(name, "give finite numbers")
    return red, green, blue


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise _invalid(name, f"'{value}' is none of {', '.join(allowed)}")


def _invalid(field: str, problem: str) -> InvalidArgument:
    return InvalidArgument.field(field, problem, reason="INVALID_MODEL_SPEC")
