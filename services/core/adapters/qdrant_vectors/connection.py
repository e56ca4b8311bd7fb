"""The gRPC connection to a Qdrant server."""

from typing import Any

import grpc

from services.core.adapters.qdrant_vectors.errors import translated_errors

_OPTIONS = [
    # A server that restarts keeps its address; find it again soon.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A peer that vanished would hang every call until its deadline.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.enable_http_proxy", 0),
]


class Connection:
    """A lazy channel, which connects with the first call. `timeout` in seconds is for calls that
    get none of their own."""

    def __init__(
        self, host: str, port: int, *, api_key: str | None, tls: bool, timeout: float
    ) -> None:
        target = f"{host}:{port}"
        self.channel = (
            grpc.secure_channel(target, grpc.ssl_channel_credentials(), _OPTIONS)
            if tls
            else grpc.insecure_channel(target, _OPTIONS)
        )
        self._metadata = [("api-key", api_key)] if api_key else []
        self._timeout = timeout

    def call(self, method: Any, request: Any, timeout: float | None = None) -> Any:
        """The reply of a stub's method to a request that names its collection.

        Raises the domain's errors.
        """
        with translated_errors(f"vector store, {request.collection_name}"):
            return method(
                request,
                timeout=self._timeout if timeout is None else timeout,
                metadata=self._metadata,
            )
