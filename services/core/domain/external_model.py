"""Models that run elsewhere: their embeddings come with imports, and nothing here can make one."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.domain.model_spec import DISTANCES
from services.core.domain.names import check_id, model_name

MAX_DIMENSION = 65_536
NO_EMBEDDER = "MODEL_HAS_NO_EMBEDDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalModel:
    """A name (id), the length of its embeddings, and how they are compared.

    Raises InvalidArgument (INVALID_ID, INVALID_MODEL_SPEC).
    """

    name: str
    dimension: int
    distance: str = "cosine"

    def __post_init__(self) -> None:
        check_id(self.name, "external_model.model")
        if not 1 <= self.dimension <= MAX_DIMENSION:
            raise InvalidArgument.field(
                "external_model.dimension",
                f"{self.dimension} is not a number from 1 to {MAX_DIMENSION}",
                reason="INVALID_MODEL_SPEC",
            )
        if self.distance not in DISTANCES:
            raise InvalidArgument.field(
                "external_model.distance",
                f"'{self.distance[:80]}' is none of {', '.join(DISTANCES)}",
                reason="INVALID_MODEL_SPEC",
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of `spec`, 64 hex digits."""
        text = json.dumps(self.spec(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def spec(self) -> dict[str, Any]:
        """What the records keep of the model."""
        return {
            "external": True,
            "name": self.name,
            "embedding_dim": self.dimension,
            "distance": self.distance,
            "normalised": is_normalised(self.distance),
        }


def is_external(spec: Mapping[str, Any]) -> bool:
    """Whether a spec in the records is that of an ExternalModel."""
    return spec.get("external") is True


def is_normalised(distance: str) -> bool:
    """Whether embeddings that are compared by this distance are brought to length 1."""
    return distance == "cosine"


def no_embedder(model: str) -> FailedPrecondition:
    """For photos of a catalogue whose model (id) runs elsewhere."""
    name = model_name(model)
    return FailedPrecondition(
        f"the embeddings of {name} are made elsewhere, and nothing here can embed a photo with it: "
        "embed it yourself and search by vector, or import embeddings with the images",
        reason=NO_EMBEDDER,
        metadata={"model": name},
    )
