"""Messages that no worker took."""

from shelflens import values
from shelflens.convert.fields import time
from shelflens.v1 import dead_letters_pb2


def dead_letter(message: dead_letters_pb2.DeadLetter) -> values.DeadLetter:
    """A message that no worker took."""
    return values.DeadLetter(
        name=message.name,
        queue=message.queue,
        routing_key=message.routing_key,
        task=message.task,
        operation=message.operation,
        reason=message.reason,
        detail=message.detail,
        content_type=message.content_type,
        headers=dict(message.headers),
        body=message.body,
        size_bytes=message.size_bytes,
        death_count=message.death_count,
        create_time=time(message, "create_time"),
    )
