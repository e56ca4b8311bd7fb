"""Making and opening the shards of qdrant-edge.

Exact or HNSW? Measured with qdrant-edge 0.9 on 2 cores: 1280 dimensions, cosine, clustered rows,
50 hits with payload, median of 150 queries in the process; m 16, ef 100:

    points    exact ms    HNSW ms    build s (2 threads)    recall@10
     3,000        1.1          -                      -             -
    10,000        3.6        2.4                     13           1.00
    20,000        5.8        2.6                     28           1.00
    50,000         12        4.4                    162              -
   100,000         30        5.0                    215           1.00

With float16 vectors the engine compares 12,000 points in 1.9 ms instead of 3.0; through the
server that is a search in 4.5 instead of 6.2, and over 3,000 points in 3.1 instead of 3.5 (on a
busy machine, caches cold). Cosines of 1280 dimensions are off by 4e-5 at most.

So HNSW is worth its build from about 10,000 points on; a search over an index and 12,500 points
beside it takes 4.6 ms. Adding those to the index took 12 s. In the server, 100,000 points are
110 MB of anonymous memory (220 before the index is built); vectors and payloads are mapped files.
"""

from pathlib import Path

import qdrant_edge as edge

from services.core.adapters.qdrant_vectors.options import (
    QUANTILE,
    CollectionOptions,
    Datatype,
    Quantization,
)
from services.core.ports import CollectionSpec

_DISTANCES = {
    "cosine": edge.Distance.Cosine,
    "euclidean": edge.Distance.Euclid,
    "manhattan": edge.Distance.Manhattan,
}
_DATATYPES: dict[Datatype, edge.VectorStorageDatatype] = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
}
_QUANTIZATIONS: dict[Quantization, edge.ScalarQuantizationConfig | None] = {
    "none": None,
    "int8": edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile=QUANTILE, always_ram=True),
}
_M, _EF_CONSTRUCT = 16, 100


def create_shard(path: Path, spec: CollectionSpec, options: CollectionOptions) -> None:
    """Makes an empty shard in the directory `path`, which exists."""
    edge.EdgeShard.create(str(path), _config(spec, options)).close()


def open_shard(path: Path, spec: CollectionSpec, options: CollectionOptions) -> edge.EdgeShard:
    """Opens a shard and applies its write-ahead log. Holds the GIL, 0.7 s at 100,000 points."""
    shard = edge.EdgeShard.load(str(path), _config(spec, options))
    # The first query maps everything, which takes up to 70 ms: not at a user's cost.
    nothing = edge.Query.Nearest([1.0] * spec.dimension)
    shard.query(edge.QueryRequest(limit=1, query=nothing))
    return shard


def open_for_build(
    path: Path,
    spec: CollectionSpec,
    options: CollectionOptions,
    index_threshold: int,
    threads: int,
) -> edge.EdgeShard:
    """Opens a shard whose optimize() indexes every segment of half `index_threshold` points."""
    return edge.EdgeShard.load(str(path), _config(spec, options, index_threshold // 2, threads))


def index_threshold(spec: CollectionSpec, options: CollectionOptions, default: int) -> int | None:
    """Unindexed points of a collection from which its index is built; None is never."""
    if options.indexing_threshold_kb is None:
        return default
    return options.indexing_threshold_kb * 1024 // _bytes(spec, options) or None


def _config(
    spec: CollectionSpec,
    options: CollectionOptions,
    least_points: int | None = None,
    threads: int = 0,
) -> edge.EdgeConfig:
    kilobytes = None if least_points is None else least_points * _bytes(spec, options) // 1024
    return edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(
            size=spec.dimension,
            distance=_DISTANCES[spec.distance],
            datatype=_DATATYPES[options.datatype],
            memory=_memory(options.vectors_on_disk),
        ),
        payload_memory=_memory(options.payload_on_disk),
        hnsw_config=edge.HnswIndexConfig(
            m=_M if options.hnsw_m is None else options.hnsw_m,
            ef_construct=options.hnsw_ef_construct or _EF_CONSTRUCT,
            full_scan_threshold=10_000,
            max_indexing_threads=threads,
            on_disk=options.hnsw_on_disk,
        ),
        quantization_config=_QUANTIZATIONS[options.quantization],
        optimizers=edge.EdgeOptimizersConfig(
            indexing_threshold=kilobytes, default_segment_number=2
        ),
    )


def _memory(on_disk: bool | None) -> edge.Memory:
    # Mapped files without a word of the caller: only graphs and payload indexes are memory.
    return edge.Memory.Cached if on_disk is False else edge.Memory.Cold


def _bytes(spec: CollectionSpec, options: CollectionOptions) -> int:
    """Of one vector."""
    return spec.dimension * (2 if options.datatype == "float16" else 4)
