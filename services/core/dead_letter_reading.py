"""What a dead message says: whose it was, why it died, and which of our messages it is.

Nothing here trusts it: headers and bodies may come from anybody who reaches the broker.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.core import dead_letter_headers as headers
from services.core.domain.errors import InvalidArgument
from services.core.messages import MESSAGES, Message

DECODED_BYTES = 4 << 20  # a longer body is none of our messages
_TASKS: Mapping[str, type[Message]] = {each.TASK: each for each in MESSAGES}
_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,62}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SHARD = re.compile(r"(?P<operation>[a-z0-9]+)/(?P<sequence>-?[0-9]{1,9})/[a-z]+/[0-9]+")
# RabbitMQ counts here how often it has delivered the dead message itself.
_CHANGING = ("x-delivery-count", "x-acquired-count")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """A message as the dead queue delivers it; `headers` and `properties` are plain JSON."""

    body: bytes
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    exchange: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Death:
    """Why and where a message died. `queue` is empty where no queue took it."""

    reason: str
    detail: str
    queue: str
    routing_key: str
    count: int


def death_of(message: DeadMessage, prefix: str = "") -> Death:
    """What the worker that refused it says, else what the broker says.

    `prefix` is that of the installation's queues, which letters name without it.
    """
    reason = message.headers.get(headers.REASON)
    if isinstance(reason, str) and _REASON.fullmatch(reason):
        return _refused(message, reason, prefix)
    if headers.UNREADABLE in message.headers:
        key = _named(message.routing_key, prefix)
        return Death(headers.UNDECODABLE, "its properties cannot be read", key, key, 1)
    past = _deaths(message.headers)
    # What no queue took comes here by its own exchange, perhaps after a pause in a delay queue.
    if past and message.exchange.endswith(headers.DEAD_EXCHANGE):
        return _dead_lettered(past[0], prefix)
    key = _named(message.routing_key, prefix)
    detail = f"no queue of exchange {plain_text(message.exchange, 100)!r} takes {key!r}"
    return Death(headers.UNROUTABLE, detail, "", key, 1)


def _refused(message: DeadMessage, reason: str, prefix: str) -> Death:
    found = message.headers
    queue = _named(found.get(headers.QUEUE), prefix)
    key = _named(found.get(headers.ROUTING_KEY) or queue, prefix)
    return Death(
        reason, plain_text(found.get(headers.DETAIL), headers.DETAIL_LENGTH), queue, key, 1
    )


def _dead_lettered(newest: Mapping[str, Any], prefix: str) -> Death:
    queue = _named(newest.get("queue"), prefix)
    keys = newest.get("routing-keys")
    key = _named(keys[0], prefix) if isinstance(keys, list) and keys else queue
    told = plain_text(newest.get("reason"), 60)
    reason = headers.BROKER_REASONS.get(told, headers.REJECTED)
    return Death(reason, f"the broker says {told}", queue, key, _count(newest))


def _named(value: object, prefix: str) -> str:
    return plain_text(value, 255).removeprefix(prefix)


def digest_of(message: DeadMessage) -> str:
    """The same for every delivery of one dead message.

    Two messages that are alike in every header and byte and died within one second are one.
    """
    lasting = {key: each for key, each in message.headers.items() if key not in _CHANGING}
    told = [lasting, message.properties, message.content_type, message.routing_key]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode() + b"\0" + message.body).hexdigest()


def read_message(
    task: object, content_type: str, body: bytes, most_bytes: int = DECODED_BYTES
) -> Message:
    """One of our messages from the body of a Celery task.

    Raises InvalidArgument with the reason that a worker would refuse it for: TOO_LARGE,
    CONTENT_TYPE_REFUSED, UNDECODABLE, UNKNOWN_TASK, UNKNOWN_SCHEMA, BAD_MESSAGE.
    """
    if len(body) > most_bytes:
        raise _refusal(f"it has {len(body)} bytes", headers.TOO_LARGE)
    if content_type != "application/json":
        raise _refusal(f"it is {content_type[:80]!r}, not JSON", headers.CONTENT_TYPE_REFUSED)
    try:
        message = json.loads(body)[1]["message"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise _refusal("its body is no task in JSON", headers.UNDECODABLE) from None
    kind = _TASKS.get(task) if isinstance(task, str) else None
    if kind is None:
        raise _refusal(f"no task is called {str(task)[:80]!r}", headers.UNKNOWN_TASK)
    if not isinstance(message, dict):
        raise _refusal("its message is no object", headers.BAD_MESSAGE)
    read = kind.from_json(message)
    texts, numbers = (read.id, read.operation, read.traceparent), (read.revision, read.attempt)
    if not all(isinstance(each, str) for each in texts) or any(type(e) is not int for e in numbers):
        raise _refusal("its id, operation or revision has another type", headers.BAD_MESSAGE)
    return read


def shard_of(message: Message) -> int | None:
    """The number of the shard that the message is about; None for those that are about none."""
    named = _SHARD.fullmatch(message.id)
    return int(named["sequence"]) if named and named["operation"] == message.operation else None


def plain_text(value: object, most: int) -> str:
    """Text that every database and terminal takes: no control characters, at most so long."""
    text = "" if value is None else value if isinstance(value, str) else repr(value)
    return _CONTROL.sub("\ufffd", text[:most])


def _deaths(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    told = found.get(headers.X_DEATH)
    return [each for each in told if isinstance(each, Mapping)] if isinstance(told, list) else []


def _count(death: Mapping[str, Any]) -> int:
    count = death.get("count")
    return min(max(count, 1), 1_000_000) if isinstance(count, int) else 1


def _refusal(problem: str, reason: str) -> InvalidArgument:
    return InvalidArgument(
        f"it is no message that this version understands: {problem}", reason=reason
    )
