"""Settings of the vector server, from its command line.

Not from the environment: its parent reads that and passes on what concerns the child.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Unindexed points from which an HNSW index is built: 4 ms of comparing, see shards.py.
INDEX_THRESHOLD = 10_000
# Write-ahead log from which it is flushed: half a second of work for the next start.
FLUSH_BYTES = 32 << 20
# Age of the oldest write from which the log is flushed.
FLUSH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`port` 0 picks a free one. `parent` and `ready_fd`: see core.runtime.child_process.

    `build_threads` of a build, which is niced in any case.
    """

    data: Path
    parent: int
    ready_fd: int
    port: int
    index_threshold: int
    flush_bytes: int
    flush_seconds: float
    build_threads: int


def read_settings(arguments: Sequence[str]) -> Settings:
    """Ends the process with a message on stderr where an argument is wrong or unknown."""
    parser = argparse.ArgumentParser("services.local.vector_server", allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--index-threshold", type=int, default=INDEX_THRESHOLD)
    parser.add_argument("--flush-bytes", type=int, default=FLUSH_BYTES)
    parser.add_argument("--flush-seconds", type=float, default=FLUSH_SECONDS)
    parser.add_argument("--build-threads", type=int, default=os.cpu_count() or 1)
    return Settings(**vars(parser.parse_args(arguments)))
