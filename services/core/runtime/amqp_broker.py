"""kombu's AMQP transport, which leaves the bodies of messages alone.

kombu decompresses a message before anybody has looked at it, and a few kilobytes can hold
gigabytes; py-amqp decodes text with whatever codec a header names, some of which take quadratic
time. Nothing of ours needs either.
"""

# mypy: disable-error-code="no-untyped-call"

from typing import Any

from kombu.transport import pyamqp

from services.core.runtime.amqp_frames import tolerant_frames

COMPRESSION = "compression"


class Message(pyamqp.Message):
    """As it was on the wire. `wire_headers` are the headers as they came."""

    def __init__(self, msg: Any, channel: Any = None, **options: Any) -> None:
        self.wire_headers: dict[str, Any] = dict(msg.properties.get("application_headers") or {})
        plain = {key: value for key, value in self.wire_headers.items() if key != COMPRESSION}
        msg.properties["application_headers"] = plain
        super().__init__(msg, channel=channel, **options)


class Channel(pyamqp.Channel):
    """Without the decoding of text."""

    Message = Message

    def __init__(self, connection: Any, channel_id: Any = None, **options: Any) -> None:
        super().__init__(connection, channel_id, **(options | {"auto_decode": False}))


class Connection(pyamqp.Connection):
    """Makes such channels, and goes on after properties that cannot be read."""

    Channel = Channel

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **({"frame_handler": tolerant_frames} | options))


class Transport(pyamqp.Transport):
    """Behind amqp:// URLs of runtime.celery_app."""

    Connection = Connection


class SecureTransport(pyamqp.SSLTransport):
    """Behind amqps:// URLs."""

    Connection = Connection
