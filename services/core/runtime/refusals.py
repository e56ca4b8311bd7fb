"""What a worker looks at before Celery sees a message: anybody may have put it into the queue.

Celery acknowledges and forgets what it cannot decode, and does what some headers say: waits until
a date, sends further tasks. Here a message is either one of ours, or refused with a reason.
"""

import json
from collections.abc import Mapping
from typing import Any

from services.core.adapters.celery_queue import task_headers
from services.core.dead_letter_headers import (
    BAD_MESSAGE,
    CONTENT_TYPE_REFUSED,
    TOO_LARGE,
    UNDECODABLE,
    UNKNOWN_TASK,
)
from services.core.domain.errors import InvalidArgument
from services.core.messages import Message
from services.core.runtime.amqp_broker import COMPRESSION

MOST_BYTES = 1 << 20
_MOST_RETRIES = 1_000
_LONGEST_NAME = 1_000


class Refused(Exception):
    """`reason` is one of dead_letter_headers.REFUSALS, `detail` for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def admitted(
    message: Any, kinds: Mapping[str, type[Message]], most_bytes: int = MOST_BYTES
) -> dict[str, Any]:
    """The headers to run a kombu message with: those that we know, with values that we know.

    `kinds` are the tasks of this worker by name. Raises Refused.
    """
    if len(message.body or b"") > most_bytes:
        raise Refused(TOO_LARGE, f"{len(message.body)} bytes, {most_bytes} are taken at most")
    headers = getattr(message, "wire_headers", message.headers)
    if headers.get(COMPRESSION):
        raise Refused(CONTENT_TYPE_REFUSED, "it is compressed, which nothing of ours is")
    _check_content_type(message)
    if not isinstance(name := headers.get("task"), str):
        raise Refused(UNDECODABLE, "its headers name no task")
    if (kind := kinds.get(name)) is None:
        raise Refused(UNKNOWN_TASK, f"task {name[:200]!r} is none of {', '.join(sorted(kinds))}")
    id_, retries = headers.get("id"), headers.get("retries", 0)
    if not isinstance(id_, str) or len(id_) > _LONGEST_NAME:
        raise Refused(UNDECODABLE, "its headers hold no id")
    if type(retries) is not int or not 0 <= retries <= _MOST_RETRIES:
        raise Refused(UNDECODABLE, "its header 'retries' is no count")
    _check_body(kind, _argument(message.body))
    return task_headers(name, id_, retries)


def _check_content_type(message: Any) -> None:
    encoding = (message.content_encoding or "utf-8").lower()
    if message.content_type != "application/json" or encoding != "utf-8":
        found = f"{message.content_type!r} in {message.content_encoding!r}"
        raise Refused(CONTENT_TYPE_REFUSED, f"{found[:300]}; only application/json in utf-8")


def _argument(body: bytes | str) -> Any:
    try:
        positional, named, embed = json.loads(body)
        argument = named["message"]
        extras = any(embed.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        text = f"its body is not [[], {{'message': ...}}, {{}}] in JSON: {error!r}"
        raise Refused(UNDECODABLE, text[:500]) from error
    if not isinstance(positional, list) or extras:
        raise Refused(UNDECODABLE, "it asks for callbacks, which nothing of ours does")
    return argument


def _check_body(kind: type[Message], body: Any) -> None:
    if not isinstance(body, Mapping):
        raise Refused(BAD_MESSAGE, f"{kind.TASK}: its message is no object")
    try:
        message = kind.from_json(body)
    except InvalidArgument as error:
        raise Refused(error.reason, error.message) from error
    names = (message.id, message.operation, message.traceparent)
    if not all(isinstance(each, str) and len(each) <= _LONGEST_NAME for each in names):
        raise Refused(BAD_MESSAGE, f"{kind.TASK}: id, operation and traceparent must be short text")
    if type(message.revision) is not int:
        raise Refused(BAD_MESSAGE, f"{kind.TASK}: revision must be a whole number")
