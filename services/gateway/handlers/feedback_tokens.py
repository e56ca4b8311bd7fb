"""Tokens that tell what an answer was made with, for the feedback on it."""

import base64
import binascii
import json
from dataclasses import asdict, dataclass

from services.core.domain import names
from services.core.domain.errors import InvalidArgument
from services.core.domain.stages import Stages

_VERSION = 1
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Answered:
    """What answered: the catalogue, the model's digest, Stages.key of the stages that ran, and the
    SHA-256 of the photo."""

    catalog: str
    model_digest: str
    stages: str
    photo: str


def write_token(answered: Answered) -> str:
    """Opaque, of letters, digits and -_=."""
    body = json.dumps({"version": _VERSION, **asdict(answered)}, separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode()


def read_token(token: str) -> Answered:
    """What write_token was given. Raises InvalidArgument (FEEDBACK_TOKEN_INVALID)."""
    try:
        if len(token) > _LONGEST:
            raise ValueError("too long")
        body = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
        if body.pop("version") != _VERSION:
            raise ValueError("another version")
        answered = Answered(**body)
        names.check_id(answered.catalog, "catalog")
        names.check_digest(answered.model_digest, "model_digest")
        names.check_digest(answered.photo, "photo")
        if Stages.from_dict(json.loads(answered.stages)).key != answered.stages:
            raise ValueError("no key of stages")
    # RecursionError: JSON may be nested deeply.
    except (
        binascii.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError,
        InvalidArgument,
    ) as error:  # fmt: skip
        raise InvalidArgument.field(
            "feedback_token",
            "is not the token of an answer: send feedback_token of the answer as it came",
            reason="FEEDBACK_TOKEN_INVALID",
        ) from error
    return answered
