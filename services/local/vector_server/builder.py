"""The child process that makes the HNSW index of a new generation and catches up with the journal.

Its own process, because optimize() holds the GIL for minutes; niced, so that queries and imports
keep the cores. Two files of the generation tell the server the rest: `applied`, how far into the
journal it came, and `unindexed`, how many points that put beside the index.
"""

import argparse
import os
from pathlib import Path

from services.core.runtime.child_process import die_with_parent, report_ready
from services.core.runtime.logs import configure_logs
from services.local.vector_server.changes import edge_operations, touched_points
from services.local.vector_server.directories import CollectionDirectory
from services.local.vector_server.journal import changes_after
from services.local.vector_server.shards import open_for_build

# A tenth of a busy core. At 19 a build would not end as long as an import keeps the cores busy.
_NICENESS = 10


def main() -> None:
    """Ends with exit code 0 when the generation is complete on disk."""
    arguments = _arguments()
    die_with_parent(arguments.parent)
    configure_logs()
    os.nice(_NICENESS)
    report_ready(arguments.ready_fd)
    directory = CollectionDirectory(arguments.collection)
    spec, options = directory.spec, directory.options
    generation: Path = arguments.generation
    shard = open_for_build(generation, spec, options, arguments.index_threshold, arguments.threads)
    shard.optimize()
    applied = touched = 0
    for change, behind in changes_after(directory.journal, 0):
        for operation in edge_operations(change, spec):
            shard.update(operation)
        applied = behind
        touched += touched_points(change)
    shard.flush()
    shard.close()
    (generation / "unindexed").write_text(str(touched))
    (generation / "applied").write_text(str(applied))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("services.local.vector_server.builder", allow_abbrev=False)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--collection", type=Path, required=True)
    parser.add_argument("--generation", type=Path, required=True)
    parser.add_argument("--index-threshold", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
