"""request_id (AIP-155): which calls are repeats of which."""

import hashlib
import uuid
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from services.core.domain.errors import InvalidArgument
from services.gateway.handlers.transactions import Once

R = TypeVar("R")
M = TypeVar("M", bound=Message)


def once(request: Message, request_id: str, kind: type[M], answer: Callable[[R], M]) -> Once[R, M]:
    """How to run `request` once; `answer` makes the response, a `kind`, of the result.

    Raises InvalidArgument (REQUEST_ID_INVALID) unless the id is empty or a UUID4.
    """
    if request_id and not _is_uuid4(request_id):
        raise InvalidArgument.field(
            "request_id", f"'{request_id[:80]}' is not a UUID4", reason="REQUEST_ID_INVALID"
        )
    rest = type(request)()
    rest.CopyFrom(request)
    rest.ClearField("request_id")
    return Once(
        rpc=request.DESCRIPTOR.full_name,
        request_id=request_id.lower(),
        digest=hashlib.sha256(rest.SerializeToString(deterministic=True)).hexdigest(),
        answer=answer,
        to_bytes=lambda message: message.SerializeToString(),
        from_bytes=kind.FromString,
    )


def _is_uuid4(text: str) -> bool:
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        return False
    return parsed.version == 4 and str(parsed) == text.lower()
