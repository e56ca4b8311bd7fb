"""What a model is: enough to compute the same embedding of a picture anywhere, and no weights."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from services.core.domain.errors import InvalidArgument
from services.core.domain.names import check_digest

Triple = tuple[float, float, float]

POOLINGS = ("avg",)
DISTANCES = ("cosine", "euclidean", "manhattan")
PRECISIONS = ("bf16", "fp32")
INTERPOLATIONS = ("bicubic", "bilinear", "lanczos")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The embedder part of a model. Raises InvalidArgument (INVALID_MODEL_SPEC) for bad values.

    `backbone` is a timm name, `weights_sha256` the digest of its weights file. `resize` (shorter
    side) and `crop` (square) are pixels, `mean` and `std` belong to RGB values in [0, 1].
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
        if not isinstance(self.normalised, bool):
            raise _invalid("normalised", "use true or false")
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

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hex digits: the name under which embeddings lie."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, shortest floats. Equal specs, equal text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> "ModelSpec":
        """The spec that `text` describes. Unknown and missing keys are refused by name."""
        try:
            values: Any = json.loads(text)
        except ValueError as error:
            raise _invalid("model", f"no JSON: {error}") from error
        if not isinstance(values, dict):
            raise _invalid("model", "no JSON object")
        known = {each.name for each in fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise _invalid(unknown[0], "unknown key")
        if missing := sorted(known - values.keys()):
            raise _invalid(missing[0], "missing key")
        return cls(**values)


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
