"""What smaller vectors cost in recall, and what they save in memory.

Made-up vectors in clusters, in the local vector server with its index built; recall is against
comparing with every vector in numpy.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.core.adapters.qdrant_vectors import CollectionOptions, QdrantVectors
from services.core.domain.names import point_id
from services.core.ports import CollectionSpec, Float32, Point
from services.local.vector_server.process import VectorServer, start_vector_server
from tests.bench.figures import Figure, Outcome, Target, at_least
from tests.bench.memory import Resident, resident_bytes

_POINTS, _DIMENSION, _CLUSTERS = 20_000, 256, 500
_QUERIES, _DEPTH = 300, 10
_SPREAD = 0.6  # length of the noise on a unit vector: cosine 0.86 to its origin
_BATCH = 2_000
_MB = 1e6
_LONGEST_BUILD_SECONDS = 300.0
# One build, of everything.
_ONE_BUILD = ("--index-threshold", str(_POINTS))


@dataclass(frozen=True, slots=True)
class _Storage:
    """A way to keep vectors, and the bytes of each value that are to stay in memory."""

    name: str
    spec: CollectionSpec
    options: CollectionOptions
    bytes_per_value: int
    target: Target | None = None


def _storages() -> list[_Storage]:
    def spec(quantization: str, on_disk: bool) -> CollectionSpec:
        return CollectionSpec("bench", _DIMENSION, quantization=quantization, on_disk=on_disk)

    full, half = CollectionOptions(), CollectionOptions(datatype="float16")
    return [
        _Storage("float32", spec("none", False), full, 4),
        _Storage("float16", spec("none", False), half, 2),
        _Storage("int8 with rescoring", spec("int8", True), full, 1, at_least(0.98)),
        _Storage("on disk", spec("none", True), full, 0),
    ]


def quantization(_: Path | None) -> Iterator[Outcome]:
    """Recall and memory of every way to keep 20,000 vectors of 256 values."""
    generator = np.random.default_rng(30)
    centres = _unit(generator.standard_normal((_CLUSTERS, _DIMENSION), np.float32))
    rows, queries = _near(centres, _POINTS, generator), _near(centres, _QUERIES, generator)
    with _server() as (empty, _data):
        least = resident_bytes(empty.process.pid)
    for storage in _storages():
        yield from _measured(storage, rows, queries, least)


def _measured(
    storage: _Storage, rows: Float32, queries: Float32, least: Resident
) -> Iterator[Outcome]:
    with _server() as (server, data):
        with closing(QdrantVectors(grpc_port=server.port, options=storage.options)) as vectors:
            _fill(vectors, storage.spec, rows)
        _wait_for_index(data)
        server.stop()
        # Started afresh: what the fill and the build left behind is not what searching takes.
        server = start_vector_server(data, options=_ONE_BUILD)
        try:
            with closing(QdrantVectors(grpc_port=server.port)) as vectors:
                recall, seconds = _searched(vectors, rows, queries)
            most = resident_bytes(server.process.pid)
        finally:
            server.stop()
    about, over = f"{storage.name}:", "over that of an empty server"
    yield Figure(f"{about} recall@{_DEPTH} against exact search", recall, "", storage.target)
    yield Figure(f"{about} vectors in memory", storage.bytes_per_value * rows.size / _MB, "MB")
    yield Figure(f"{about} RssAnon {over}", (most.anonymous - least.anonymous) / _MB, "MB")
    yield Figure(f"{about} mapped files in memory {over}", (most.files - least.files) / _MB, "MB")
    yield Figure(f"{about} search, median", seconds * 1e3, "ms")


@contextmanager
def _server() -> Iterator[tuple[VectorServer, Path]]:
    """A server on an empty folder, and that; it may be stopped before."""
    with tempfile.TemporaryDirectory(prefix="shelflens-bench-") as folder:
        data = Path(folder) / "vectors"
        server = start_vector_server(data, options=_ONE_BUILD)
        try:
            yield server, data
        finally:
            server.stop()


def _fill(vectors: QdrantVectors, spec: CollectionSpec, rows: Float32) -> None:
    vectors.ensure_collection(spec)
    for start in range(0, len(rows), _BATCH):
        numbers = range(start, min(start + _BATCH, len(rows)))
        vectors.upsert("bench", [_point(number, rows[number]) for number in numbers])


def _wait_for_index(data: Path) -> None:
    began = time.monotonic()
    while _generation(data) < 2:
        if time.monotonic() - began > _LONGEST_BUILD_SECONDS:
            raise TimeoutError("the index was not built")
        time.sleep(0.1)


def _searched(vectors: QdrantVectors, rows: Float32, queries: Float32) -> tuple[float, float]:
    """The mean share of the truly nearest that searches find, and seconds of one."""
    found, seconds = 0, []
    for query in queries:
        exact = _ids(np.argsort(-(rows @ query))[:_DEPTH].tolist())
        began = time.perf_counter()
        hits = vectors.search("bench", query, limit=_DEPTH)
        seconds.append(time.perf_counter() - began)
        found += len({hit.id for hit in hits} & exact)
    return found / (_DEPTH * len(queries)), float(np.median(seconds))


def _ids(numbers: Sequence[int]) -> set[str]:
    return {_id(number) for number in numbers}


def _id(number: int) -> str:
    return point_id("bench", f"p{number}", f"{number:064x}")


def _point(number: int, row: Float32) -> Point:
    payload = {"product": f"p{number}", "sku": f"p{number}", "parent": "", "revision": 1}
    return Point(_id(number), row, payload)


def _near(centres: Float32, count: int, generator: np.random.Generator) -> Float32:
    """`count` unit vectors, each around one of `centres`."""
    chosen = centres[generator.integers(len(centres), size=count)]
    noise = generator.standard_normal(chosen.shape, np.float32)
    return _unit(chosen + noise * np.float32(_SPREAD / np.sqrt(chosen.shape[1])))


def _unit(rows: Float32) -> Float32:
    unit: Float32 = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _generation(data: Path) -> int:
    """The number of the generation that answers: 2 once the index is built."""
    return max(int(each.read_text().split("-")[1]) for each in data.glob("*/current"))
