"""Frames of messages whose properties py-amqp cannot read.

It raises in the middle of its loop, the connection ends, the broker delivers the message again,
and so for ever: one time beyond the calendar, or a content type that is no UTF-8, would stop every
consumer. Such a message is read without its properties here, and UNREADABLE holds what they were.
"""

import base64
import struct
from collections.abc import Callable
from typing import Any

from amqp.method_framing import frame_handler
from amqp.serialization import PROPERTY_CLASSES, dumps

from services.core.dead_letter_headers import UNREADABLE

_HEADER_FRAME = 2
_PREFIX = 12  # bytes: class, weight and the length of the body
_HAS_HEADERS = 1 << 13
_KEPT = 1_000  # bytes of unreadable properties

Frame = tuple[int, int, bytes]


def tolerant_frames(connection: Any, callback: Callable[..., None]) -> Callable[[Frame], bool]:
    """As amqp.method_framing.frame_handler, which makes what connections give their frames to."""
    on_frame = frame_handler(connection, callback)

    def tolerant(frame: Frame) -> bool:
        kind, channel, content = frame
        if kind == _HEADER_FRAME:
            frame = (kind, channel, _readable(content))
        return bool(on_frame(frame))

    return tolerant


def _readable(content: bytes) -> bytes:
    (class_id,) = struct.unpack_from(">H", content, 0)
    try:
        PROPERTY_CLASSES[class_id](content, _PREFIX)
    except Exception:  # whatever it is, the connection must go on
        raw = bytes(content[_PREFIX : _PREFIX + _KEPT])
        headers = {UNREADABLE: base64.b64encode(raw).decode()}
        flags = struct.pack(">H", _HAS_HEADERS)
        return bytes(content[:_PREFIX]) + flags + bytes(dumps("F", [headers]))
    return content
