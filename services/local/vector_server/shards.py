"""Making and opening the shards of qdrant-edge.

Exact or HNSW? Measured with qdrant-edge 0.9 on 2 cores: 1280 dimensions, cosine, clustered rows,
50 hits with payload, median of 150 queries in the process; m 16, ef 100:

    points    exact ms    HNSW ms    build s (2 threads)    recall@10
     3,000        1.1          -                      -             -
    10,000        3.6        2.4                     13           1.00
    20,000        5.8        2.6                     28           1.00
    50,000         12        4.4                    162              -
   100,000         30        5.0                    215           1.00

So HNSW is worth its build from about 10,000 points on; a search over an index and 12,500 points
beside it takes 4.6 ms. Adding those to the index took 12 s. In the server, 100,000 points are
110 MB of anonymous memory (220 before the index is built); vectors and payloads are mapped files.
"""

from pathlib import Path

import qdrant_edge as edge

from services.core.ports import CollectionSpec

_DISTANCES = {
    "cosine": edge.Distance.Cosine,
    "euclidean": edge.Distance.Euclid,
    "manhattan": edge.Distance.Manhattan,
}


def create_shard(path: Path, spec: CollectionSpec) -> None:
    """Makes an empty shard in the directory `path`, which exists."""
    edge.EdgeShard.create(str(path), _config(spec)).close()


def open_shard(path: Path, spec: CollectionSpec) -> edge.EdgeShard:
    """Opens a shard and applies its write-ahead log. Holds the GIL, 0.7 s at 100,000 points."""
    shard = edge.EdgeShard.load(str(path), _config(spec))
    # The first query maps everything, which takes up to 70 ms: not at a user's cost.
    nothing = edge.Query.Nearest([1.0] * spec.dimension)
    shard.query(edge.QueryRequest(limit=1, query=nothing))
    return shard


def open_for_build(
    path: Path, spec: CollectionSpec, index_threshold: int, threads: int
) -> edge.EdgeShard:
    """Opens a shard whose optimize() indexes every segment of half `index_threshold` points."""
    return edge.EdgeShard.load(str(path), _config(spec, index_threshold // 2, threads))


def _config(
    spec: CollectionSpec, index_threshold: int | None = None, threads: int = 0
) -> edge.EdgeConfig:
    # Vectors and payloads stay on disk, mapped; only graphs and payload indexes are memory.
    vectors = edge.EdgeVectorParams(
        size=spec.dimension, distance=_DISTANCES[spec.distance], memory=edge.Memory.Cold
    )
    kilobytes = None if index_threshold is None else index_threshold * spec.dimension * 4 // 1024
    return edge.EdgeConfig(
        vectors=vectors,
        payload_memory=edge.Memory.Cold,
        hnsw_config=edge.HnswIndexConfig(
            m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=threads
        ),
        optimizers=edge.EdgeOptimizersConfig(
            indexing_threshold=kilobytes, default_segment_number=2
        ),
    )
