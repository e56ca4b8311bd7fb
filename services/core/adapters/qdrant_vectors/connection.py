"""The gRPC connection to a Qdrant server."""

import random
import time
from pathlib import Path
from typing import Any

import grpc

from services.core.adapters.qdrant_vectors.errors import domain_error
from services.core.domain.errors import FailedPrecondition

# Of one message, both ways. Writes and reads are cut far below it, see batches.py.
MAX_MESSAGE = 64 << 20
_OPTIONS = [
    # A server that restarts keeps its address; find it again soon.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A peer that vanished would hang every call until its deadline.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.enable_http_proxy", 0),
]
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.4  # seconds between tries


class Connection:
    """A lazy channel, which connects with the first call.

    `timeout` in seconds is for calls that get none of their own. A call that finds no server is
    tried again for `retry_seconds`, within its timeout: every call of the adapter may be repeated.
    `ca_file` has the authorities, in PEM, that are trusted instead of gRPC's own.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        api_key: str | None,
        tls: bool,
        ca_file: Path | None,
        timeout: float,
        retry_seconds: float,
    ) -> None:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.channel = (
            grpc.secure_channel(target, _credentials(ca_file), _OPTIONS)
            if tls
            else grpc.insecure_channel(target, _OPTIONS)
        )
        self._metadata = [("api-key", api_key)] if api_key else []
        self._timeout = timeout
        self._retry_seconds = retry_seconds

    def call(
        self, method: Any, request: Any, timeout: float | None = None, *, about: str = ""
    ) -> Any:
        """The reply of a stub's method. `about` names the request in errors where it names no
        collection itself.

        Raises the domain's errors.
        """
        started = time.monotonic()
        timeout = self._timeout if timeout is None else timeout
        pause = _FIRST_PAUSE
        while True:
            passed = time.monotonic() - started
            try:
                return method(request, timeout=timeout - passed, metadata=self._metadata)
            except grpc.RpcError as error:
                passed = time.monotonic() - started
                pause = min(pause, _LONGEST_PAUSE) * random.uniform(0.8, 1.2)
                if not _is_away(error) or passed + pause >= min(self._retry_seconds, timeout):
                    about = about or request.collection_name
                    raise domain_error(error, f"vector store, {about}") from error
            time.sleep(pause)
            pause *= 2


def _is_away(error: grpc.RpcError) -> bool:
    return isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.UNAVAILABLE


def _credentials(ca_file: Path | None) -> grpc.ChannelCredentials:
    if ca_file is None:
        return grpc.ssl_channel_credentials()
    try:
        return grpc.ssl_channel_credentials(ca_file.read_bytes())
    except OSError as error:
        raise FailedPrecondition(
            f"the authorities of the vector store, {ca_file}, cannot be read: {error.strerror}",
            reason="CA_FILE_UNREADABLE",
        ) from error
