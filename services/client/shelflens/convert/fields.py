"""Single fields of messages."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


def time(message: Message, field: str) -> datetime | None:
    """In UTC; None where it is unset."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(tzinfo=UTC)


def optional(message: Message, field: str) -> float | None:
    """None where it is unset."""
    return getattr(message, field) if message.HasField(field) else None


def state(kind: Any, value: int, prefix: str) -> str:
    """The name of an enum's value without `prefix`; one that this client does not know keeps its
    number."""
    return kind.Name(value).removeprefix(prefix) if value in kind.values() else str(value)
