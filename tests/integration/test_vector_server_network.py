"""The adapter and a server that goes away, is slow, is sent too much, or asks who calls."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import trustme

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    ShelflensError,
    Unavailable,
)
from services.core.ports import CollectionSpec, Point
from services.local.vector_server.process import start_vector_server
from services.local.vector_server.servicers import Collections, Points
from services.local.vector_server.store import Store
from tests.integration.test_vector_server import LAZY, SPEC, an_id, kill, points, running, vector
from tests.servers.ports import free_port
from tests.waiting import eventually


def patient(port: int) -> closing[QdrantVectors]:
    """A client that waits for a server as long as a slow machine needs to start one."""
    return closing(QdrantVectors(grpc_port=port, timeout=60.0, retry_seconds=60.0))


def test_calls_made_while_the_server_is_away_are_answered_when_it_is_back(tmp_path: Path) -> None:
    data = tmp_path / "vectors"
    with running(data, LAZY) as server, patient(server.port) as vectors:
        vectors.ensure_collection(SPEC)
        vectors.upsert(SPEC.name, points(range(10)))
        kill(server)
        with ThreadPoolExecutor(4) as pool:
            searching = pool.submit(vectors.search, SPEC.name, vector(3), limit=1)
            writing = pool.submit(vectors.upsert, SPEC.name, points(range(10, 20)))
            deleting = pool.submit(vectors.delete, SPEC.name, [an_id(0)], 1)
            counting = pool.submit(vectors.count, SPEC.name)
            assert not searching.done()
            with running(data, LAZY, server.port):
                assert searching.result()[0].id == an_id(3)
                writing.result()
                deleting.result()
                assert counting.result() >= 9
                assert vectors.count(SPEC.name) == 19


def wait_for_writes(vectors: QdrantVectors) -> None:
    before = vectors.count(SPEC.name)
    eventually(lambda: vectors.count(SPEC.name) > before, 30, "writes")


def test_callers_see_nothing_of_kills(tmp_path: Path) -> None:
    data = tmp_path / "vectors"
    port = free_port()
    stopping = threading.Event()
    with patient(port) as vectors, ThreadPoolExecutor(2) as pool:

        def write() -> int:
            done = 0
            while not stopping.is_set():
                vectors.upsert(SPEC.name, points(range(done, done + 10)))
                done += 10
            return done

        def search() -> int:
            done = 0
            while not stopping.is_set():
                assert vectors.search(SPEC.name, vector(1), limit=1)
                done += 1
            return done

        server = start_vector_server(data, port, options=LAZY)
        try:
            vectors.ensure_collection(SPEC)
            vectors.upsert(SPEC.name, points(range(10)))
            writing, searching = pool.submit(write), pool.submit(search)
            for _ in range(2):
                wait_for_writes(vectors)
                kill(server)
                server = start_vector_server(data, port, options=LAZY)
            stopping.set()
            written = writing.result()
            assert searching.result() > 0
            assert vectors.count(SPEC.name) == written
        finally:
            stopping.set()
            server.stop()


def test_a_server_that_is_not_there_costs_no_more_than_the_deadline() -> None:
    with closing(QdrantVectors(grpc_port=free_port(), retry_seconds=60.0)) as vectors:
        started = time.monotonic()
        with pytest.raises(Unavailable) as refused:
            vectors.search(SPEC.name, vector(1), limit=1, timeout=0.5)
        assert time.monotonic() - started < 5
        assert refused.value.reason == "VECTOR_STORE_UNAVAILABLE"


def test_a_server_that_was_slow_answers_again(tmp_path: Path) -> None:
    with running(tmp_path / "vectors", LAZY) as server, patient(server.port) as vectors:
        vectors.ensure_collection(SPEC)
        vectors.upsert(SPEC.name, points(range(5)))
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(DeadlineExceeded):
                vectors.search_batch(SPEC.name, [vector(1)] * 3, limit=1, timeout=0.3)
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert vectors.search(SPEC.name, vector(1), limit=1)[0].id == an_id(1)


def test_more_bytes_than_a_message_holds_go_in_several(tmp_path: Path) -> None:
    wide = CollectionSpec("wide", 4096)
    text = "x" * (2 << 20)
    row = np.eye(1, 4096, dtype=np.float32)[0]
    large = [Point(an_id(n), row, {"revision": 1, "labels": [text]}) for n in range(40)]
    with running(tmp_path / "vectors", LAZY) as server, patient(server.port) as vectors:
        vectors.ensure_collection(wide)
        vectors.upsert("wide", large)  # 80 MB
        assert vectors.count("wide") == 40
        with pytest.raises(InvalidArgument) as refused:
            vectors.upsert("wide", [Point(an_id(99), row, {"revision": 1, "text": text * 33})])
        assert refused.value.reason == "VECTOR_STORE_MESSAGE_TOO_LARGE"
        assert vectors.count("wide") == 40


class KeysOfQdrant(grpc.ServerInterceptor):
    """Answers as Qdrant does where api-key is not the key, or only the reader's."""

    def intercept_service(self, following: Any, details: Any) -> Any:
        key = dict(details.invocation_metadata).get("api-key")
        call = details.method.rsplit("/", 1)[-1]
        if key not in ("key", "reader"):
            return _refusing(grpc.StatusCode.UNAUTHENTICATED, "Invalid API key or JWT")
        if key == "reader" and call not in ("Get", "Query", "Count"):
            return _refusing(
                grpc.StatusCode.PERMISSION_DENIED, "Forbidden: Global write access is required"
            )
        return following(details)


def _refusing(code: grpc.StatusCode, details: str) -> Any:
    return grpc.unary_unary_rpc_method_handler(lambda _, context: context.abort(code, details))


@contextmanager
def guarded(data: Path, credentials: grpc.ServerCredentials | None = None) -> Iterator[int]:
    """The port of a server with keys, over TLS where there are credentials."""
    store = Store(data)
    server = grpc.server(ThreadPoolExecutor(2), interceptors=[KeysOfQdrant()])
    q.add_PointsServicer_to_server(Points(store), server)  # type: ignore[no-untyped-call]
    q.add_CollectionsServicer_to_server(Collections(store), server)  # type: ignore[no-untyped-call]
    address = "localhost:0"
    port = (
        server.add_secure_port(address, credentials)
        if credentials
        else server.add_insecure_port(address)
    )
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()
        store.close()


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_wrong_key_is_refused_with_what_to_do(tmp_path: Path, key: str | None) -> None:
    with (
        guarded(tmp_path / "vectors") as port,
        closing(QdrantVectors("localhost", port, api_key=key)) as vectors,
    ):
        calls = (
            lambda: vectors.ensure_collection(SPEC),
            lambda: vectors.search(SPEC.name, vector(1), limit=1),
            lambda: vectors.count(SPEC.name),
            vectors.aliases,
        )
        for call in calls:
            with pytest.raises(FailedPrecondition) as refused:
                call()
            assert refused.value.reason == "VECTOR_STORE_DENIED"
            assert "SHELFLENS_QDRANT_API_KEY" in refused.value.message


def test_a_key_that_may_only_read_searches_and_does_not_write(tmp_path: Path) -> None:
    with guarded(tmp_path / "vectors") as port:
        with closing(QdrantVectors("localhost", port, api_key="key")) as vectors:
            vectors.ensure_collection(SPEC)
            vectors.upsert(SPEC.name, points(range(3)))
        with closing(QdrantVectors("localhost", port, api_key="reader")) as vectors:
            assert vectors.search(SPEC.name, vector(1), limit=1)[0].id == an_id(1)
            with pytest.raises(FailedPrecondition) as refused:
                vectors.upsert(SPEC.name, points(range(3)))
            assert "read-only" in refused.value.message


def test_a_server_is_trusted_by_its_authority_alone(tmp_path: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(tmp_path / "ours.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    leaf = ours.issue_cert("localhost")
    chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
    credentials = grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])
    with guarded(tmp_path / "vectors", credentials) as port:

        def counted(**settings: Any) -> int:
            adapter = QdrantVectors(
                "localhost", port, api_key="key", retry_seconds=0.2, timeout=10, **settings
            )
            with closing(adapter) as vectors:
                return vectors.count(SPEC.name)

        assert counted(tls=True, ca_file=tmp_path / "ours.pem") == 0
        for wrong in (
            {"tls": True, "ca_file": tmp_path / "other.pem"},
            {"tls": True},
            {"tls": False},
        ):
            with pytest.raises(Unavailable):
                counted(**wrong)


def test_a_missing_file_of_authorities_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShelflensError) as refused:
        QdrantVectors("localhost", 1, tls=True, ca_file=tmp_path / "no.pem")
    assert refused.value.reason == "CA_FILE_UNREADABLE"
    assert "no.pem" in refused.value.message
