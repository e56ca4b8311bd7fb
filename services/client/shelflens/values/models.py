"""Models, and which of them answers for a catalogue."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Embedder:
    """How one backbone makes an embedding.

    `resolutions` are sides of squares in pixels; none: timm's own. `autocrop` is a share from 0
    (the whole image) to 1, `head_dim` is 0 without a projection head. Empty texts and the zeros of
    `gem_p` and `rmac_levels` stand for the defaults.
    """

    backbone: str
    pooling: str
    resolutions: tuple[int, ...]
    fit: str
    flip: bool
    autocrop: float
    gem_p: float
    lca_average: str
    rmac_levels: int
    head_dim: int
    precision: str
    weights_sha256: str
    embedding_dimension: int


@dataclass(frozen=True, slots=True)
class LinearPart:
    """A whitening or PCA that makes `output_dimension` values of `input_dimension`."""

    sha256: str
    input_dimension: int
    output_dimension: int


@dataclass(frozen=True, slots=True)
class ModelMember:
    """An embedder of a model, and the linear part of what it gives."""

    embedder_digest: str
    embedder: Embedder
    linear: LinearPart | None


@dataclass(frozen=True, slots=True)
class Model:
    """What turns a picture into an embedding; it never changes.

    Two with the same parts have the same `digest`. It has one member, those of an ensemble, or none
    where it is `external`: made elsewhere. `linear` is that of several members together. `distance`
    is cosine, euclidean or manhattan. While `deployments` use it, and where it is `built_in`, it
    cannot be deleted. `notes` are what was noticed when its weights were loaded.
    """

    name: str
    digest: str
    members: tuple[ModelMember, ...]
    linear: LinearPart | None
    embedding_dimension: int
    distance: str
    normalised: bool
    external: bool
    create_time: datetime | None
    deployments: tuple[str, ...]
    notes: tuple[str, ...]
    built_in: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A sample of users' searches by two deployments.

    `same_first` is the share of them, from 0 to 1, with the same first product; `overlap_at_10` the
    mean share of the first ten products that both have.
    """

    searches: int
    same_first: float
    overlap_at_10: float


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What came of a gate: `metric` of the new model less that of the live one, with its interval.

    `overridden`: it was deployed although it did not reach `minimum_difference`.
    """

    evaluation: str
    metric: str
    minimum_difference: float
    difference: float
    low: float
    high: float
    passed: bool
    overridden: bool


@dataclass(frozen=True, slots=True)
class Deployment:
    """Which model and collection answer for a catalogue, did, or will.

    `state` is BUILDING, LIVE, KEPT (it can be rolled back to) or GONE. `switch_time` is when it
    last became live. `quantization` is none, int8, or empty: as the vector storage is set up.
    """

    name: str
    model: str
    model_digest: str
    collection: str
    state: str
    create_time: datetime | None
    switch_time: datetime | None
    image_count: int
    quantization: str
    on_disk: bool
    shared: bool
    comparison: Comparison | None
    gate: GateOutcome | None = None

    @property
    def number(self) -> int:
        """Its number in the catalogue, from 1; 0 where its name has none."""
        last = self.name.rpartition("/")[2]
        return int(last) if last.isascii() and last.isdigit() else 0


@dataclass(frozen=True, slots=True)
class FillProgress:
    """How far the making of a model or a deployment is.

    `step` (embedding, verifying, waiting for workers, comparing, switched), `image_count` (of the
    catalogue when it began) and `points_indexed` are those of a deployment.
    """

    step: str = ""
    image_count: int = 0
    images_embedded: int = 0
    points_indexed: int = 0


@dataclass(frozen=True, slots=True)
class WeightsProgress:
    """How far a file of weights is read (`hash`), and then sent (`upload`), in bytes."""

    phase: Literal["hash", "upload"]
    done_bytes: int
    size_bytes: int
