"""Query photos and their embeddings as bodies of messages: JSON, and raw bytes behind it.

A body is the length of the JSON (4 bytes, big-endian), the JSON, and the photo, the embedding
(float32, little-endian), or one picture after the other. Base64 would cost half a millisecond a
photo. The message is a Celery task all the same: its one argument is the body.
"""

# mypy: disable-error-code="no-untyped-call"

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any, TypeGuard, TypeVar

import numpy as np
from kombu.serialization import register

from services.core.domain.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    InvalidImage,
    NotFound,
    ResourceExhausted,
    ShelflensError,
    Unavailable,
)
from services.core.messages import EmbedQuery
from services.core.ports import QueryEmbedding

T = TypeVar("T")

SERIALIZER = "shelflens-query"
CONTENT_TYPE = "application/x-shelflens-query"
ENCODING = "binary"
IN_PLACE = 1 << 20  # bytes of a photo that travels in its message; larger ones are objects
QUERY_PREFIX = "queries/"  # objects that hold large photos

_LENGTH = struct.Struct(">I")
_PNG = b"\x89PNG\r\n\x1a\n"
_LONGEST_TEXT = 1_000
_LONGEST_EMBEDDING = 1 << 16
_KINDS: Mapping[str, type[ShelflensError]] = {
    kind.__name__: kind
    for kind in (
        InvalidArgument,
        InvalidImage,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        DataLoss,
    )
}


def register_serializer() -> None:
    """Tells kombu that the body of a query is its task's one argument, as bytes."""
    register(SERIALIZER, lambda body: body, lambda body: ([bytes(body)], {}, {}), CONTENT_TYPE,
             ENCODING)  # fmt: skip


def write_query(message: EmbedQuery, photo: bytes) -> bytes:
    """The body of a query; `photo` is empty where `message.object` names it."""
    return _frame(message.to_json(), photo)


def read_query(body: bytes) -> tuple[EmbedQuery, bytes]:
    """Raises InvalidArgument (BAD_MESSAGE, UNKNOWN_SCHEMA)."""
    try:
        header, photo = _unframe(body)
        message = EmbedQuery.from_json(header)
        _check_query(message)
    except ValueError as error:
        raise InvalidArgument(f"{EmbedQuery.TASK}: {error}", reason="BAD_MESSAGE") from error
    return replace(message, explain=tuple(message.explain)), photo


def write_answer(answer: QueryEmbedding | ShelflensError) -> bytes:
    """The body of an answer."""
    if isinstance(answer, ShelflensError):
        return _frame({"error": _error_fields(answer)}, b"")
    header = {"norm": answer.norm, "timings_ms": dict(answer.timings_ms)}
    return _frame(header, np.ascontiguousarray(answer.embedding, "<f4").tobytes())


def write_pictures(pictures: Sequence[bytes]) -> bytes:
    """The body of an answer to a query that asks for explanations."""
    return _frame({"pictures": [len(each) for each in pictures]}, b"".join(pictures))


def read_answer(body: bytes) -> QueryEmbedding:
    """The embedding in an answer. Raises the error that the answer carries, and Unavailable
    (BAD_ANSWER) for one that cannot be read."""
    return _read(body, _embedding)


def read_pictures(body: bytes, count: int) -> list[bytes]:
    """The `count` pictures in an answer, PNG or empty. Raises as read_answer."""
    return _read(body, lambda header, raw: _pictures(header, raw, count))


def _read(body: bytes, content: Callable[[Mapping[str, Any], bytes], T]) -> T:
    try:
        header, raw = _unframe(body)
        failure = _error(header["error"]) if "error" in header else None
        if failure is None:
            return content(header, raw)
    except ValueError as error:
        raise Unavailable(
            f"an embedding worker's answer cannot be read ({error}): start workers and gateways "
            "of one version",
            reason="BAD_ANSWER",
        ) from error
    raise failure


def _frame(header: Mapping[str, Any], raw: bytes) -> bytes:
    text = json.dumps(header).encode()
    return b"".join((_LENGTH.pack(len(text)), text, raw))


def _unframe(body: bytes) -> tuple[Mapping[str, Any], bytes]:
    try:
        (length,) = _LENGTH.unpack_from(body)
        end = _LENGTH.size + length
        header = json.loads(body[_LENGTH.size : end])
    except (struct.error, TypeError, RecursionError) as error:
        raise ValueError("it is not framed") from error
    if end > len(body) or not isinstance(header, Mapping):
        raise ValueError("it is not framed")
    return header, body[end:]


def _check_query(message: EmbedQuery) -> None:
    texts = (message.id, message.model_digest, message.object)
    if not all(isinstance(each, str) for each in texts):
        raise ValueError("fields have wrong types")
    if message.object and message.object != QUERY_PREFIX + message.id:
        raise ValueError("the object is not that of the query")
    if not isinstance(message.explain, list | tuple):
        raise ValueError("explain is no list")
    if not all(isinstance(each, str) for each in message.explain):
        raise ValueError("explain holds other things than hashes")
    if not _is_number(message.expires):
        raise ValueError("it never expires")


def _embedding(header: Mapping[str, Any], raw: bytes) -> QueryEmbedding:
    norm, timings = header.get("norm"), header.get("timings_ms")
    if not _is_number(norm) or not isinstance(timings, Mapping):
        raise ValueError("norm or timings are missing")
    if not all(_is_number(each) for each in timings.values()):
        raise ValueError("timings are no numbers")
    if not raw or len(raw) % 4 or len(raw) > 4 * _LONGEST_EMBEDDING:
        raise ValueError(f"{len(raw)} bytes are no embedding")
    embedding = np.frombuffer(raw, "<f4").astype(np.float32)
    if not np.isfinite(embedding).all():
        raise ValueError("the embedding has values that are no numbers")
    return QueryEmbedding(embedding, float(norm), dict(timings))


def _pictures(header: Mapping[str, Any], raw: bytes, count: int) -> list[bytes]:
    lengths = header.get("pictures")
    if not isinstance(lengths, list) or len(lengths) != count:
        raise ValueError(f"it holds no {count} pictures")
    if not all(type(each) is int and each >= 0 for each in lengths) or sum(lengths) != len(raw):
        raise ValueError("its pictures have other lengths")
    ends = list(accumulate(lengths, initial=0))
    pictures = [raw[start:end] for start, end in pairwise(ends)]
    if not all(each.startswith(_PNG) for each in pictures if each):
        raise ValueError("its pictures are no PNG files")
    return pictures


def _error_fields(error: ShelflensError) -> dict[str, Any]:
    names = (each.__name__ for each in type(error).__mro__)
    return {
        "kind": next((name for name in names if name in _KINDS), Unavailable.__name__),
        "message": error.message[:_LONGEST_TEXT],
        "reason": error.reason,
        "metadata": {key: value[:_LONGEST_TEXT] for key, value in error.metadata.items()},
    }


def _error(fields: Any) -> ShelflensError:
    try:
        kind = _KINDS[fields["kind"]]
        metadata = {str(key): str(value) for key, value in fields["metadata"].items()}
        return kind(str(fields["message"]), reason=str(fields["reason"]), metadata=metadata)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it carries an unknown error") from error


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
