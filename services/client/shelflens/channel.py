"""Where the server is and how channels to it behave, for both clients."""

import json
import os
from typing import Any

import grpc
from google.longrunning import operations_pb2_grpc

from shelflens.v1 import (
    catalogs_pb2_grpc,
    dead_letters_pb2_grpc,
    evaluation_pb2_grpc,
    models_pb2_grpc,
    search_pb2_grpc,
)

DEFAULT_TARGET = "127.0.0.1:50051"
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

# UNAVAILABLE alone says that the call did nothing; writes carry a request_id on top.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


class Stubs:
    """The stubs of one channel, blocking or async as the channel is."""

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        self.channel: Any = channel
        self.catalogs: Any = catalogs_pb2_grpc.CatalogServiceStub(self.channel)
        self.models: Any = models_pb2_grpc.ModelServiceStub(self.channel)
        self.search: Any = search_pb2_grpc.SearchServiceStub(self.channel)
        self.evaluations: Any = evaluation_pb2_grpc.EvaluationServiceStub(self.channel)
        self.dead_letters: Any = dead_letters_pb2_grpc.DeadLetterServiceStub(self.channel)
        self.operations: Any = operations_pb2_grpc.OperationsStub(self.channel)


def choose_target(target: str | None) -> str:
    """`target`, or SHELFLENS_TARGET from the environment, or this machine's port 50051."""
    return target or os.environ.get("SHELFLENS_TARGET") or DEFAULT_TARGET
