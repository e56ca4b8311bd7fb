"""What calls cost in a collection that many small catalogues share, in the local vector server."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.domain.names import point_id
from services.core.ports import CollectionSpec, Float32, Point
from services.local.vector_server.process import start_vector_server
from tests.bench.figures import Figure, Outcome, at_least
from tests.bench.index_building import wait_for_index
from tests.bench.quantiles import median, quantile, timed

_CATALOGS = (2_000, 10_000)
_OF_EACH, _DIMENSION = 5, 256
_CALLS, _DROPPED, _AT_ONCE = 200, 20, 400
_SPEC = CollectionSpec("shared", _DIMENSION, shared=True)


def many_catalogs(_: Path | None) -> Iterator[Outcome]:
    """With 2,000 and 10,000 catalogues of five points each, indexes built."""
    generator = np.random.default_rng(31)
    with tempfile.TemporaryDirectory(prefix="shelflens-bench-") as folder:
        server = start_vector_server(Path(folder) / "vectors")
        try:
            with closing(QdrantVectors(grpc_port=server.port)) as vectors:
                vectors.ensure_collection(_SPEC)
                present = 0
                for count in _CATALOGS:
                    _add(vectors, range(present, count), generator)
                    wait_for_index(server.process.pid)
                    yield from _calls(vectors, count, generator)
                    present = count
        finally:
            server.stop()


def _add(vectors: QdrantVectors, catalogs: range, generator: np.random.Generator) -> None:
    for start in range(catalogs.start, catalogs.stop, _AT_ONCE):
        several = range(start, min(start + _AT_ONCE, catalogs.stop))
        vectors.upsert(_SPEC.name, [each for one in several for each in _points(one, generator)])


def _points(catalog: int, generator: np.random.Generator) -> list[Point]:
    rows = generator.standard_normal((_OF_EACH, _DIMENSION), np.float32)
    name = f"shop-{catalog}"
    return [
        Point(
            point_id(name, f"p{number}", "0" * 64),
            row,
            {"product": f"{name}-p{number}", "parent": "", "catalog": name, "revision": 1},
        )
        for number, row in enumerate(rows)
    ]


def _calls(vectors: QdrantVectors, count: int, generator: np.random.Generator) -> Iterator[Outcome]:
    queries: Float32 = generator.standard_normal((_CALLS, _DIMENSION), np.float32)
    chosen = [f"shop-{number}" for number in generator.choice(count, _CALLS, replace=False)]
    dropped = range(count, count + _DROPPED)
    _add(vectors, dropped, generator)
    name = _SPEC.name
    searched = [
        timed(vectors.search, name, query, limit=10, catalog=catalog)
        for query, catalog in zip(queries, chosen, strict=True)
    ]
    milliseconds = {
        "ensure_collection": [timed(vectors.ensure_collection, _SPEC)[0] for _ in chosen],
        "search": [taken for taken, _ in searched],
        "count": [timed(vectors.count, name, each)[0] for each in chosen],
        "drop_catalog": [timed(vectors.drop_catalog, name, f"shop-{n}")[0] for n in dropped],
    }
    about = f"{count:,} catalogues in a collection:"
    for call, taken in milliseconds.items():
        yield Figure(f"{about} {call}, median", median(taken), "ms")
        yield Figure(f"{about} {call}, 95%", quantile(taken, 0.95), "ms")
    whole = sum(len(hits) == _OF_EACH for _, hits in searched) / _CALLS
    yield Figure(f"{about} searches that find all of theirs", whole, "", at_least(1))
