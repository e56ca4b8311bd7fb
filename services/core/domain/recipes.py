"""What a user asks for when an embedder is made; a worker turns it into a ModelSpec."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from services.core.domain.errors import InvalidArgument
from services.core.domain.model_spec import canonical_json


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderRecipe:
    """The fields of ModelSpec that users choose; see there.

    `backbone` is a timm name, with the part after the dot where weights come from timm's hub.
    `weights_sha256` is the digest that the weights must have, empty for any. Empty `precision`: the
    fastest of the worker that prepares the model.
    """

    backbone: str
    weights_sha256: str = ""
    pooling: str = "avg"
    resolutions: tuple[int, ...] = ()
    fit: str = "crop"
    flip: bool = False
    autocrop: float = 0.0
    gem_p: float = 3.0
    lca_average: str = "windows"
    rmac_levels: int = 3
    head_dim: int = 0
    distance: str = "cosine"
    normalised: bool = True
    precision: str = ""

    def to_json(self) -> str:
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "EmbedderRecipe":
        """Raises InvalidArgument (INVALID_MODEL_SPEC)."""
        try:
            values: dict[str, Any] = json.loads(text)
            if unknown := sorted(values.keys() - {each.name for each in fields(cls)}):
                raise InvalidArgument.field(unknown[0], "unknown key", reason="INVALID_MODEL_SPEC")
            return cls(**(values | {"resolutions": tuple(values.get("resolutions", ()))}))
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidArgument.field(
                "recipe", f"is no recipe: {error}", reason="INVALID_MODEL_SPEC"
            ) from error
