"""Feedback."""

from shelflens import values
from shelflens.convert.fields import time
from shelflens.convert.stages import stages
from shelflens.v1 import search_pb2


def feedback(message: search_pb2.Feedback) -> values.Feedback:
    return values.Feedback(
        name=message.name,
        photo_sha256=message.photo_sha256,
        product=message.product,
        image=message.image,
        right=message.right,
        expected_product=message.expected_product,
        model_digest=message.model_digest,
        stages=stages(message.stages),
        create_time=time(message, "create_time"),
        photo_expire_time=time(message, "photo_expire_time"),
    )
