"""The local profile's vector server as a process: kills, builds, swaps, and its parent."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain.errors import DeadlineExceeded, ShelflensError, Unavailable
from services.core.ports import CollectionSpec, Float32, Point
from services.local.vector_server.process import VectorServer, start_vector_server

SPEC = CollectionSpec("catalog", 64)
# Builds begin at 400 points; logs are flushed all the time.
EAGER = ("--index-threshold", "400", "--flush-seconds", "0.3", "--build-threads", "1")
PACE = 0.02  # s between the calls of a background thread: the builder needs the core as well
LAZY = ("--index-threshold", "1000000")


def eventually(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.002)


@contextmanager
def running(data: Path, options: tuple[str, ...], port: int = 0) -> Iterator[VectorServer]:
    server = start_vector_server(data, port, options=options)
    try:
        yield server
    finally:
        if server.alive():
            server.stop()


@contextmanager
def client(server: VectorServer) -> Iterator[QdrantVectors]:
    vectors = QdrantVectors(grpc_port=server.port, timeout=10.0)
    try:
        yield vectors
    finally:
        vectors.close()


def an_id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def vector(number: int) -> Float32:
    """The unit vector of a point: the same for every caller."""
    values = np.random.default_rng(number).standard_normal(SPEC.dimension).astype(np.float32)
    return values / np.float32(np.linalg.norm(values))


def points(numbers: range, revision: int = 1) -> list[Point]:
    return [
        Point(an_id(n), vector(n), {"sku": f"S{n}", "product": "p", "revision": revision})
        for n in numbers
    ]


def stored_revisions(vectors: QdrantVectors, count: int) -> dict[int, int]:
    found = vectors.fetch(SPEC.name, [an_id(n) for n in range(count)])
    revisions = {}
    for number in range(count):
        point = found.get(an_id(number))
        if point is not None:
            np.testing.assert_allclose(point.vector, vector(number), atol=1e-6)
            revisions[number] = point.payload["revision"]
    return revisions


def generation(data: Path) -> int:
    """The number of the generation that answers; 0 before there is one."""
    for current in data.glob("*/current"):
        return int(current.read_text().removeprefix("generation-"))
    return 0


def kill(server: VectorServer) -> None:
    """Kills the server; its builder follows."""
    children = psutil.Process(server.process.pid).children()
    server.process.kill()
    server.process.wait()
    eventually(lambda: not any(each.is_running() for each in children), "the builder is gone")


def test_acknowledged_points_survive_kills_in_the_middle_of_upserts(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    sent = 0
    port = 0
    for _ in range(3):
        with running(tmp_path / "vectors", LAZY, port) as server, client(server) as vectors:
            port = server.port
            vectors.ensure_collection(SPEC)
            stored = stored_revisions(vectors, sent)
            assert set(acknowledged) <= stored.keys()
            enough = len(acknowledged) + 150

            def send(start: int, vectors: QdrantVectors = vectors) -> None:
                for first in range(start, start + 5_000, 10):
                    try:
                        vectors.upsert(SPEC.name, points(range(first, first + 10)))
                    except ShelflensError:
                        return
                    acknowledged.extend(range(first, first + 10))

            with ThreadPoolExecutor(2) as pool:
                for start in (sent, sent + 5_000):
                    pool.submit(send, start)
                eventually(
                    lambda enough=enough: len(acknowledged) >= enough,  # type: ignore[misc]
                    "points are acknowledged",
                )
                kill(server)
            sent += 10_000
    with running(tmp_path / "vectors", LAZY, port) as server, client(server) as vectors:
        assert set(acknowledged) <= stored_revisions(vectors, sent).keys()


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "the copy begins": lambda data: bool(list(data.glob("*/generation-2"))),
    "the build begins": lambda data: bool(list(data.glob("*/journal"))),
    "the build is complete": lambda data: bool(list(data.glob("*/generation-2/applied"))),
    "the new generation answers": lambda data: generation(data) == 2,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_during_a_build_loses_nothing(tmp_path: Path, moment: str) -> None:
    data = tmp_path / "vectors"
    acknowledged = 0
    with running(data, EAGER) as server, client(server) as vectors:
        vectors.ensure_collection(SPEC)

        def kill_at_that_moment() -> None:
            eventually(lambda: MOMENTS[moment](data), moment)
            kill(server)

        with ThreadPoolExecutor(1) as pool:
            killing = pool.submit(kill_at_that_moment)
            while server.alive():
                try:
                    vectors.upsert(SPEC.name, points(range(acknowledged, acknowledged + 10)))
                    acknowledged += 10
                except ShelflensError:
                    break
                time.sleep(PACE)
            killing.result()
    with running(data, EAGER, server.port) as server, client(server) as vectors:
        assert set(range(acknowledged)) <= stored_revisions(vectors, acknowledged).keys()
        eventually(lambda: generation(data) >= 2, "the index is built after all")
        assert set(range(acknowledged)) <= stored_revisions(vectors, acknowledged).keys()
        eventually(lambda: len(list(data.glob("*/generation-*"))) == 1, "leftovers are gone")


def test_swaps_under_writes_and_searches_keep_every_point(tmp_path: Path) -> None:
    data = tmp_path / "vectors"
    with running(data, EAGER) as server, client(server) as vectors:
        vectors.ensure_collection(SPEC)
        vectors.upsert(SPEC.name, points(range(0, 300)))
        swapped_twice = threading.Event()

        def write() -> int:
            """Goes round the points, with a larger revision in every round; returns the last."""
            revision = 1
            while not swapped_twice.is_set():
                revision += 1
                for first in range(0, 1500, 50):
                    vectors.upsert(SPEC.name, points(range(first, first + 50), revision))
            return revision

        def search() -> int:
            searches = 0
            while not swapped_twice.is_set():
                number = searches % 300
                hits = vectors.search(SPEC.name, vector(number), limit=3)
                assert hits[0].id == an_id(number)
                searches += 1
            return searches

        with ThreadPoolExecutor(2) as pool:
            writing, searching = pool.submit(write), pool.submit(search)
            try:
                eventually(lambda: generation(data) >= 3, "two swaps", seconds=120)
            finally:
                swapped_twice.set()
            assert searching.result() > 50
            expected = dict.fromkeys(range(1500), writing.result())
            assert stored_revisions(vectors, 2000) == expected
        assert vectors.count(SPEC.name) == 1500


def test_an_indexed_collection_finds_what_comparing_all_would_find(tmp_path: Path) -> None:
    data = tmp_path / "vectors"
    rows = np.stack([vector(n) for n in range(2000)])
    with running(data, EAGER) as server, client(server) as vectors:
        vectors.ensure_collection(SPEC)
        vectors.upsert(SPEC.name, points(range(2000)))
        eventually(lambda: generation(data) >= 2, "the index is built")
        found = 0
        for query in range(5000, 5050):
            hits = {hit.id for hit in vectors.search(SPEC.name, vector(query), limit=10)}
            nearest = np.argsort(-(rows @ vector(query)))[:10]
            found += len(hits & {an_id(int(n)) for n in nearest})
        assert found / 500 > 0.9  # random vectors are the worst case for HNSW


def test_a_collection_dropped_during_its_build_is_gone(tmp_path: Path) -> None:
    data = tmp_path / "vectors"
    with running(data, EAGER) as server, client(server) as vectors:
        vectors.ensure_collection(SPEC)
        vectors.upsert(SPEC.name, points(range(1000)))
        eventually(lambda: bool(list(data.glob("*/journal"))), "a build begins")
        vectors.drop_collection(SPEC.name)
        assert vectors.count(SPEC.name) == 0
        eventually(lambda: [each.name for each in data.iterdir()] == ["lock"], "no files")
        vectors.ensure_collection(SPEC)
        vectors.upsert(SPEC.name, points(range(1000)))
        eventually(lambda: generation(data) >= 2, "later builds work")
        assert vectors.count(SPEC.name) == 1000


def test_a_restart_keeps_the_address_and_the_clients(tmp_path: Path) -> None:
    with running(tmp_path / "vectors", LAZY) as server, client(server) as vectors:
        vectors.ensure_collection(SPEC)
        vectors.upsert(SPEC.name, points(range(10)))
        server.stop()
        with pytest.raises(Unavailable):
            vectors.count(SPEC.name)
        with running(tmp_path / "vectors", LAZY, server.port) as again:
            assert again.port == server.port

            def answers() -> bool:
                try:
                    return vectors.count(SPEC.name) == 10
                except Unavailable:
                    return False

            eventually(answers, "the client finds the server again")


def test_a_server_that_hangs_costs_no_more_than_the_deadline(tmp_path: Path) -> None:
    with running(tmp_path / "vectors", LAZY) as server, client(server) as vectors:
        vectors.ensure_collection(SPEC)
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                vectors.search(SPEC.name, vector(1), limit=1, timeout=0.3)
            assert time.monotonic() - started < 5
        finally:
            os.kill(server.process.pid, signal.SIGCONT)


def test_a_directory_and_a_port_have_one_server(tmp_path: Path) -> None:
    with running(tmp_path / "vectors", LAZY) as server:
        with pytest.raises(Unavailable):
            start_vector_server(tmp_path / "vectors")
        with pytest.raises(Unavailable):
            start_vector_server(tmp_path / "others", server.port)
        assert server.alive()


PARENT = """
import sys, threading
from pathlib import Path
from services.local.vector_server.process import start_vector_server
server = start_vector_server(Path(sys.argv[1]))
sys.stdout.write(f"{server.process.pid}\\n")
sys.stdout.flush()
threading.Event().wait()
"""


def test_the_server_dies_with_its_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "vectors")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        assert server.is_running()
        parent.kill()
    eventually(
        lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE,
        "the server is gone",
    )
