"""Every server that the VectorStore adapter talks to, each as a context."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np
import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain.filters import SearchFilter
from services.core.ports import CollectionSpec, Float32, Point, VectorStore
from services.local.vector_server.process import start_vector_server

QDRANT_URL = "SHELFLENS_TEST_QDRANT_URL"


class Connect(Protocol):
    """Makes an adapter for a server; `settings` are the adapter's."""

    def __call__(self, **settings: Any) -> QdrantVectors: ...


@contextmanager
def own_server() -> Iterator[Connect]:
    """The local profile's child process."""
    with tempfile.TemporaryDirectory() as folder:
        server = start_vector_server(Path(folder) / "vectors")
        try:
            yield partial(QdrantVectors, grpc_port=server.port)
        finally:
            server.stop()


@contextmanager
def qdrant_server() -> Iterator[Connect]:
    """A Qdrant server, 1.17 or newer. The URL may name its REST port, 6333: gRPC is one above."""
    url = os.environ.get(QDRANT_URL)
    if not url:
        pytest.skip(f"{QDRANT_URL} is not set: http://HOST:6334 of a Qdrant server, 1.17 or newer")
    parts = urlsplit(url)
    yield partial(
        QdrantVectors,
        parts.hostname or "127.0.0.1",
        6334 if parts.port in (None, 6333) else parts.port,
        api_key=parts.password,
        tls=parts.scheme == "https",
    )


VECTOR_SERVERS: dict[str, Callable[[], AbstractContextManager[Connect]]] = {
    "own-server": own_server,
    "qdrant-server": qdrant_server,
}

DIMENSION = 8


@pytest.fixture(scope="module", params=sorted(VECTOR_SERVERS))
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    with VECTOR_SERVERS[request.param]() as making:
        yield making


@pytest.fixture(scope="module")
def store(connect: Connect) -> Iterator[VectorStore]:
    with closing(connect()) as vectors:
        yield vectors


@pytest.fixture
def collection(store: VectorStore) -> Iterator[str]:
    name = f"test-{uuid.uuid4()}"
    store.ensure_collection(CollectionSpec(name, DIMENSION))
    yield name
    store.drop_collection(name)


def an_id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def unit(*values: float) -> Float32:
    vector = np.zeros(DIMENSION, np.float32)
    vector[: len(values)] = values
    return vector / np.float32(np.linalg.norm(vector))


def point(number: int, vector: Float32, revision: int = 1, **payload: Any) -> Point:
    fields = {
        "product": f"p{number}",
        "sku": f"SKU-{number}",
        "sha256": f"{number:064x}",
        "parent": "",
        "categories": [],
        "labels": [],
        "revision": revision,
    }
    return Point(an_id(number), vector, fields | payload)


def found(store: VectorStore, collection: str, where: SearchFilter | None = None) -> set[str]:
    hits = store.search(collection, unit(1, 1, 1), limit=100, where=where)
    return {"SKU-" + hit.payload["product"].removeprefix("p") for hit in hits}
