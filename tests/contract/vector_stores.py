"""Every server that the VectorStore adapter talks to, each as a context with an adapter."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.local.vector_server.process import start_vector_server

QDRANT_URL = "SHELFLENS_TEST_QDRANT_URL"


@contextmanager
def own_server() -> Iterator[QdrantVectors]:
    """The local profile's child process."""
    with tempfile.TemporaryDirectory() as folder:
        server = start_vector_server(Path(folder) / "vectors")
        vectors = QdrantVectors(grpc_port=server.port)
        try:
            yield vectors
        finally:
            vectors.close()
            server.stop()


@contextmanager
def qdrant_server() -> Iterator[QdrantVectors]:
    """A Qdrant server, 1.17 or newer, at its gRPC address."""
    url = os.environ.get(QDRANT_URL)
    if not url:
        pytest.skip(f"{QDRANT_URL} is not set: the gRPC address of a Qdrant server, 1.17 or newer")
    parts = urlsplit(url)
    vectors = QdrantVectors(
        parts.hostname or "127.0.0.1",
        parts.port or 6334,
        api_key=parts.password,
        tls=parts.scheme == "https",
    )
    try:
        yield vectors
    finally:
        vectors.close()


VECTOR_STORES: dict[str, Callable[[], AbstractContextManager[QdrantVectors]]] = {
    "own-server": own_server,
    "qdrant-server": qdrant_server,
}
