"""Every server that the VectorStore adapter talks to, each as a context with an adapter."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain.filters import SearchFilter
from services.core.ports import CollectionSpec, Float32, Point, VectorStore
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
    """A Qdrant server, 1.17 or newer. The URL may name its REST port, 6333: gRPC is one above."""
    url = os.environ.get(QDRANT_URL)
    if not url:
        pytest.skip(f"{QDRANT_URL} is not set: http://HOST:6334 of a Qdrant server, 1.17 or newer")
    parts = urlsplit(url)
    vectors = QdrantVectors(
        parts.hostname or "127.0.0.1",
        6334 if parts.port in (None, 6333) else parts.port,
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

DIMENSION = 8


@pytest.fixture(scope="module", params=sorted(VECTOR_STORES))
def store(request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    with VECTOR_STORES[request.param]() as vectors:
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
