"""One vector server a module, and an import system over it for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.local.vector_server.process import start_vector_server
from tests.integration.import_world import World


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantVectors]:
    """A store over a running vector server."""
    server = start_vector_server(tmp_path_factory.mktemp("vectors"))
    store = QdrantVectors("127.0.0.1", server.port)
    yield store
    store.close()
    server.stop()


@pytest.fixture
def world(tmp_path: Path, vectors: QdrantVectors) -> World:
    """With an empty catalogue `shop`."""
    made = World(tmp_path, vectors)
    made.create("shop")
    return made
