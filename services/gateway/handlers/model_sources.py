"""What a model may be made of: checks before anything is queued, and what the coordinator gets."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from services.core.deployment_ports import ModelRecord
from services.core.domain import keys, names
from services.core.domain.backbones import check_recipe
from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.domain.external_model import MAX_DIMENSION, NO_EMBEDDER, is_external
from services.core.domain.model import MOST_MEMBERS, Model
from services.core.domain.model_spec import DISTANCES
from services.core.domain.recipes import EmbedderRecipe
from services.core.record_ports import Records

METHODS = ("whitening", "pca")
# What a recipe leaves to the worker that prepares the model.
_LEFT_OPEN = {"weights_sha256", "precision"}


class Source(Protocol):
    """What a model is made of; `catalog` (id) gives statistics for it, or is empty."""

    @property
    def catalog(self) -> str: ...

    def request(self, tx: Records) -> dict[str, Any]:
        """What the operation is to do. Raises NotFound, InvalidArgument, FailedPrecondition."""

    def may_give(self, tx: Records, spec: Mapping[str, Any]) -> bool:
        """Whether the model with this spec could be what comes out."""


@dataclass(frozen=True, slots=True)
class FromBackbone:
    """A recipe, and the id of an upload of weights; empty where they come from elsewhere.

    Raises InvalidArgument (INVALID_MODEL_SPEC, UNKNOWN_BACKBONE, POOLING_UNSUPPORTED,
    RESOLUTION_UNSUPPORTED).
    """

    recipe: EmbedderRecipe
    upload: str = ""
    catalog: str = ""

    def __post_init__(self) -> None:
        check_recipe(self.recipe)

    def request(self, tx: Records) -> dict[str, Any]:
        weights = keys.uploaded_weights_key(self.upload) if self.upload else ""
        return {"kind": "embedder", "recipe": self.recipe.to_json(), "weights": weights}

    def may_give(self, tx: Records, spec: Mapping[str, Any]) -> bool:
        model = Model.from_dict(dict(spec))
        if not model.is_plain:
            return False
        (made,) = model.embedders
        asked = {each.name: getattr(self.recipe, each.name) for each in fields(self.recipe)}
        left_open = {name for name in _LEFT_OPEN if not asked[name]}
        if self.upload:  # the file may be stored in another form
            left_open.add("weights_sha256")
        return all(getattr(made, name) == asked[name] for name in asked.keys() - left_open)


@dataclass(frozen=True, slots=True)
class FromModel:
    """A model (id) with a linear part that is fitted to the images of a catalogue (id).

    `dimension` 0 keeps all values, `distance` "" that of the model. `norms`: fitted to embeddings
    at the length that they had before they were brought to 1. Raises InvalidArgument.
    """

    model: str
    catalog: str
    method: str = "whitening"
    dimension: int = 0
    shrinkage: float = 0.0
    norms: bool = False
    distance: str = ""
    unnormalised: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InvalidArgument.field(
                "linear.method",
                f"'{self.method[:80]}' is none of {', '.join(METHODS)}",
                reason="INVALID_MODEL_SPEC",
            )
        if not (math.isfinite(self.shrinkage) and 0 <= self.shrinkage <= 1):
            raise InvalidArgument.field(
                "linear.shrinkage", f"{self.shrinkage} is not from 0 to 1", reason="OUT_OF_RANGE"
            )
        if self.dimension < 0:
            raise InvalidArgument.field(
                "linear.dimension", f"{self.dimension} is negative", reason="OUT_OF_RANGE"
            )

    def request(self, tx: Records) -> dict[str, Any]:
        of = embedding_model(tx.models.get(self.model))
        name = names.model_name(self.model)
        if of.linear or (len(of.members) == 1 and of.members[0].linear):
            raise InvalidArgument.field(
                "linear.model",
                f"{name} ends in a whitening or PCA already: fit to the model that it was made of",
                reason="MODEL_HAS_LINEAR_PART",
            )
        if self.dimension > of.embedding_dim:
            raise InvalidArgument.field(
                "linear.dimension",
                f"{self.dimension} is more than the {of.embedding_dim} values that {name} gives",
                reason="DIMENSION_TOO_LARGE",
            )
        if self.norms and len(of.members) > 1:
            raise InvalidArgument.field(
                "linear.unnormalised_input",
                f"{name} is an ensemble, whose members are always brought to length 1",
                reason="INVALID_MODEL_SPEC",
            )
        _check_length(self.distance or of.distance, self.unnormalised)
        self._check_catalog(tx)
        return {
            "kind": "linear",
            "of": of.to_dict(),
            "method": self.method,
            "dimension": self.dimension,
            "shrinkage": self.shrinkage,
            "norms": self.norms,
            "distance": self.distance,
            "unnormalised": self.unnormalised,
        }

    def may_give(self, tx: Records, spec: Mapping[str, Any]) -> bool:
        of, made = embedding_model(tx.models.get(self.model)), Model.from_dict(dict(spec))
        last = made.linear if len(made.members) > 1 else made.members[0].linear
        return (
            made.embedders == of.embedders
            and last is not None
            and last.output_dim == (self.dimension or of.embedding_dim)
            and last.norms == self.norms
            and made.distance == (self.distance or of.distance)
            and made.normalised != self.unnormalised
        )

    def _check_catalog(self, tx: Records) -> None:
        tx.catalogs.get(self.catalog)
        if not tx.imports.next_products(self.catalog, "", 1):
            name = names.catalog_name(self.catalog)
            raise FailedPrecondition(
                f"{name} has no images to fit to: import some first",
                reason="CATALOG_EMPTY",
                metadata={"catalog": name},
            )


@dataclass(frozen=True, slots=True)
class FromSeveral:
    """The concatenation of models (ids), 2 to 8, none twice. `distance` "": the one that all of
    them have, else cosine. Raises InvalidArgument."""

    models: tuple[str, ...]
    distance: str = ""
    unnormalised: bool = False
    catalog: str = ""

    def __post_init__(self) -> None:
        if not 2 <= len(self.models) <= MOST_MEMBERS:
            raise InvalidArgument.field(
                "ensemble.models",
                f"{len(self.models)} models: give 2 to {MOST_MEMBERS}",
                reason="OUT_OF_RANGE",
            )
        twice = [each for each in self.models if self.models.count(each) > 1]
        if twice:
            raise _twice(twice[0], twice[0])

    def model(self, tx: Records) -> Model:
        """Raises NotFound (MODEL_NOT_FOUND), InvalidArgument (MEMBER_TWICE, MEMBER_IS_ENSEMBLE),
        FailedPrecondition (MODEL_HAS_NO_EMBEDDER)."""
        records = [tx.models.get(each) for each in self.models]
        parts = [embedding_model(each) for each in records]
        named: dict[str, str] = {}
        for record, part in zip(records, parts, strict=True):
            if record.digest in named:
                raise _twice(named[record.digest], record.name)
            named[record.digest] = record.name
            if len(part.members) > 1:
                raise InvalidArgument.field(
                    "ensemble.models",
                    f"{names.model_name(record.name)} is an ensemble itself: name its members",
                    reason="MEMBER_IS_ENSEMBLE",
                )
        common = {each.distance for each in parts}
        distance = self.distance or (common.pop() if len(common) == 1 else "cosine")
        _check_length(distance, self.unnormalised)
        members = tuple(each.members[0] for each in parts)
        model = Model(members, None, distance, not self.unnormalised)
        if model.embedding_dim > MAX_DIMENSION:
            raise InvalidArgument.field(
                "ensemble.models",
                f"together they give {model.embedding_dim} values, more than {MAX_DIMENSION}",
                reason="DIMENSION_TOO_LARGE",
            )
        return model

    def request(self, tx: Records) -> dict[str, Any]:
        return {
            "kind": "ensemble",
            "spec": self.model(tx).to_dict(),
            "distance": self.distance,
            "unnormalised": self.unnormalised,
        }

    def may_give(self, tx: Records, spec: Mapping[str, Any]) -> bool:
        return Model.from_dict(dict(spec)) == self.model(tx)


def embedding_model(record: ModelRecord) -> Model:
    """Raises FailedPrecondition (MODEL_HAS_NO_EMBEDDER) for a model that runs elsewhere."""
    if is_external(record.spec):
        name = names.model_name(record.name)
        raise FailedPrecondition(
            f"the embeddings of {name} are made elsewhere: nothing here can deploy it, whiten it "
            "or join it to others",
            reason=NO_EMBEDDER,
            metadata={"model": name},
        )
    return Model.from_dict(dict(record.spec))


def _check_length(distance: str, unnormalised: bool) -> None:
    if distance not in DISTANCES:
        raise InvalidArgument.field(
            "distance",
            f"'{distance[:80]}' is none of {', '.join(DISTANCES)}",
            reason="INVALID_MODEL_SPEC",
        )
    if unnormalised and distance == "cosine":
        raise InvalidArgument.field(
            "unnormalised",
            "cosine does not see lengths: use euclidean or manhattan",
            reason="INVALID_MODEL_SPEC",
        )


def _twice(one: str, other: str) -> InvalidArgument:
    same = "is there twice" if one == other else f"is the same as {names.model_name(other)}"
    return InvalidArgument.field(
        "ensemble.models", f"{names.model_name(one)} {same}", reason="MEMBER_TWICE"
    )
