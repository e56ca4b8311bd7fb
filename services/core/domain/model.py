"""Models: one embedder or several, and the linear parts that whiten or compress what they give.

An embedding is made in four steps: every member's embedder gives a vector; the member's linear
part, if any, whitens it; several members are each brought to length 1 and put one after the other;
the linear part of the whole, if any, is applied, and the result brought to length 1 where the model
is `normalised` (Han 2022, Algorithm 1).
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from services.core.domain.errors import InvalidArgument
from services.core.domain.model_spec import DISTANCES, ModelSpec, canonical_json
from services.core.domain.names import check_digest

MOST_MEMBERS = 8
BUILT_IN = ("base", "lite1", "lite2")  # names that every embedding worker offers
_KEYS = {"members", "linear", "distance", "normalised", "embedding_dim"}


@dataclass(frozen=True, slots=True)
class LinearSpec:
    """A linear part: y = (x - mean) @ matrix, kept in the object store under its own SHA-256.

    `norms`: x is the embedding with the length that it had before it was brought to 1.
    """

    sha256: str
    input_dim: int
    output_dim: int
    norms: bool = False

    def __post_init__(self) -> None:
        check_digest(self.sha256, "linear.sha256")
        if not 1 <= self.output_dim <= self.input_dim <= 65536:
            raise _invalid("linear", f"{self.input_dim} to {self.output_dim} values is impossible")


@dataclass(frozen=True, slots=True)
class Member:
    """An embedder and the linear part of what it gives."""

    embedder: ModelSpec
    linear: LinearSpec | None = None

    def __post_init__(self) -> None:
        if self.linear and self.linear.input_dim != self.embedder.embedding_dim:
            raise _invalid(
                "linear",
                f"it takes {self.linear.input_dim} values, '{self.embedder.backbone}' gives "
                f"{self.embedder.embedding_dim}",
            )

    @property
    def dimension(self) -> int:
        return self.linear.output_dim if self.linear else self.embedder.embedding_dim


@dataclass(frozen=True, slots=True)
class Model:
    """What a catalogue is searched with. Raises InvalidArgument (INVALID_MODEL_SPEC).

    A single embedder without linear part is *plain*: its digest is that of the embedder.
    """

    members: tuple[Member, ...]
    linear: LinearSpec | None = None
    distance: str = "cosine"
    normalised: bool = True

    def __post_init__(self) -> None:
        if not 1 <= len(self.members) <= MOST_MEMBERS:
            raise _invalid("members", f"a model has 1 to {MOST_MEMBERS}, not {len(self.members)}")
        if self.distance not in DISTANCES:
            raise _invalid("distance", f"'{self.distance}' is none of {', '.join(DISTANCES)}")
        if self.linear is not None:
            if len(self.members) == 1:
                raise _invalid("linear", "a single member has a linear part of its own")
            if self.linear.input_dim != self.concatenated_dim:
                raise _invalid(
                    "linear",
                    f"it takes {self.linear.input_dim} values, the members give "
                    f"{self.concatenated_dim}",
                )

    @classmethod
    def plain(cls, embedder: ModelSpec) -> "Model":
        return cls((Member(embedder),), None, embedder.distance, embedder.normalised)

    @property
    def concatenated_dim(self) -> int:
        return sum(each.dimension for each in self.members)

    @property
    def embedding_dim(self) -> int:
        return self.linear.output_dim if self.linear else self.concatenated_dim

    @property
    def embedders(self) -> tuple[ModelSpec, ...]:
        """One of each member, in their order."""
        return tuple(each.embedder for each in self.members)

    @property
    def linears(self) -> tuple[LinearSpec, ...]:
        """Every linear part, that of the whole last."""
        return tuple(each for each in (*(m.linear for m in self.members), self.linear) if each)

    @property
    def is_plain(self) -> bool:
        return self == Model.plain(self.members[0].embedder)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hex digits. Equal parts, equal digest."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """What the records keep; of a plain model what they keep of its embedder."""
        if self.is_plain:
            return self.members[0].embedder.to_dict()
        return {
            "members": [
                {"embedder": each.embedder.to_dict(), "linear": _linear_dict(each.linear)}
                for each in self.members
            ],
            "linear": _linear_dict(self.linear),
            "distance": self.distance,
            "normalised": self.normalised,
            "embedding_dim": self.embedding_dim,
        }

    def to_json(self) -> str:
        return canonical_json(self.to_dict())

    @classmethod
    def from_dict(cls, values: Any) -> "Model":
        """The model that `to_dict` describes; unknown and missing keys are refused by name."""
        if not isinstance(values, dict) or "members" not in values:
            return cls.plain(ModelSpec.from_dict(values))
        if odd := sorted(_KEYS ^ values.keys()):
            raise _invalid(odd[0], "unknown or missing key")
        try:
            members = tuple(
                Member(ModelSpec.from_dict(each["embedder"]), _linear(each["linear"]))
                for each in values["members"]
            )
            model = cls(
                members, _linear(values["linear"]), values["distance"], bool(values["normalised"])
            )
        except (TypeError, KeyError) as error:
            raise _invalid("members", f"not as a model has them: {error}") from error
        if model.embedding_dim != values["embedding_dim"]:
            raise _invalid("embedding_dim", f"the parts give {model.embedding_dim} values")
        return model

    @classmethod
    def from_json(cls, text: str) -> "Model":
        try:
            return cls.from_dict(json.loads(text))
        except ValueError as error:
            raise _invalid("model", f"no JSON: {error}") from error


def _linear_dict(linear: LinearSpec | None) -> dict[str, Any] | None:
    return None if linear is None else asdict(linear)


def _linear(values: Any) -> LinearSpec | None:
    return None if values is None else LinearSpec(**values)


def _invalid(field: str, problem: str) -> InvalidArgument:
    return InvalidArgument.field(field, problem, reason="INVALID_MODEL_SPEC")
