"""One collection of the vector server: its shard, its writers' lock, the swap of generations."""

import threading
import time
from pathlib import Path

import qdrant_edge as edge

from services.core.adapters.qdrant_vectors.options import CollectionOptions
from services.core.ports import CollectionSpec
from services.local.vector_server.changes import edge_operations, touched_points
from services.local.vector_server.directories import CollectionDirectory, copy_tree, remove
from services.local.vector_server.journal import Change, Journal, changes_after
from services.local.vector_server.refusals import no_such_collection
from services.local.vector_server.shards import open_shard

# What is left to apply under the writers' lock: 0.1 s without writes at most.
_TAIL_BYTES = 4 << 20
_UNINDEXED = "unindexed"  # file of a generation: how many points it holds beside the index


class Collection:
    """Reads take no lock: qdrant-edge holds the GIL from the beginning of a call to its end, and
    a shard that was swapped out closes when the last read lets go of it."""

    def __init__(self, directory: CollectionDirectory) -> None:
        self._directory = directory
        self._writing = threading.Lock()
        self._journal: Journal | None = None
        self._closed = False
        self._unflushed = 0
        self._oldest_unflushed = 0.0
        self._last_write = time.monotonic()
        self._shard = open_shard(directory.current(), self.spec, self.options)
        self._unindexed = self._estimate_unindexed()

    @property
    def spec(self) -> CollectionSpec:
        return self._directory.spec

    @property
    def options(self) -> CollectionOptions:
        return self._directory.options

    @property
    def path(self) -> Path:
        return self._directory.path

    @property
    def shard(self) -> edge.EdgeShard:
        """For reads only."""
        return self._shard

    @property
    def unindexed(self) -> int:
        """About how many points a search compares one by one."""
        return self._unindexed

    @property
    def quiet_seconds(self) -> float:
        """Time since the last write, or since it was opened."""
        return time.monotonic() - self._last_write

    @property
    def closed(self) -> bool:
        return self._closed

    def write(self, change: Change) -> None:
        """Applies a change; what it did survives a killed process when this returns.

        Raises Refused.
        """
        operations = edge_operations(change, self.spec)
        with self._writing:
            if self._closed:
                raise no_such_collection(self.spec.name)
            if self._journal is not None:
                self._journal.append(change)
            if not self._unflushed:
                self._oldest_unflushed = time.monotonic()
            self._unflushed += change.ByteSize()
            self._unindexed += touched_points(change)
            for operation in operations:
                self._shard.update(operation)
            self._last_write = time.monotonic()

    def flush_if_due(self, max_bytes: int, max_seconds: float) -> None:
        """Shortens the write-ahead log where it is longer or older than that."""
        with self._writing:
            age = time.monotonic() - self._oldest_unflushed
            due = self._unflushed >= max_bytes or (self._unflushed and age >= max_seconds)
            if due and not self._closed:
                self._flush()

    def close(self) -> None:
        """Flushes and lets go of the shard; later writes are refused."""
        with self._writing:
            if not self._closed:
                self._closed = True
                self._flush()
                self._shard.close()

    def drop(self) -> None:
        """Removes the collection with its files."""
        with self._writing:
            self._closed = True
            self._directory.drop()

    def begin_generation(self) -> Path | None:
        """A copy of the shard to build on; changes go to the journal as well from here on.

        None when the collection was closed. Writes wait while the files are copied, reads do not.
        """
        with self._writing:
            if self._closed:
                return None
            self._flush()
            generation = self._directory.following()
            try:
                copy_tree(self._directory.current(), generation)
                self._journal = Journal(self._directory.journal)
            except BaseException:
                remove(generation)
                raise
            return generation

    def finish_generation(self, generation: Path, applied: int) -> bool:
        """Makes the built generation the one that answers.

        `applied` is how far the builder applied the journal. False when the collection was closed
        meanwhile.
        """
        journal = self._directory.journal
        shard = open_shard(generation, self.spec, self.options)
        unindexed = int((generation / _UNINDEXED).read_text())
        while journal.stat().st_size - applied > _TAIL_BYTES:
            applied, touched = self._apply(shard, journal, applied)
            unindexed += touched
        with self._writing:
            if self._closed:
                return False
            applied, touched = self._apply(shard, journal, applied)
            (generation / _UNINDEXED).write_text(str(unindexed + touched))
            previous = self._directory.current()
            self._directory.switch(generation)
            # From here on the new generation answers, also after a kill.
            self._shard = shard
            self._unindexed = unindexed + touched
            self._unflushed = max(1, self._unflushed)
            self._end_journal()
        remove(previous)
        return True

    def abandon_generation(self, generation: Path) -> None:
        """Forgets a build; nothing was changed by it."""
        with self._writing:
            self._end_journal()
        remove(generation)

    def _apply(self, shard: edge.EdgeShard, journal: Path, offset: int) -> tuple[int, int]:
        touched = 0
        for change, after in changes_after(journal, offset):
            for operation in edge_operations(change, self.spec):
                shard.update(operation)
            touched += touched_points(change)
            offset = after
        return offset, touched

    def _end_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _flush(self) -> None:
        self._shard.flush()
        (self._directory.current() / _UNINDEXED).write_text(str(self._unindexed))
        self._unflushed = 0

    def _estimate_unindexed(self) -> int:
        # The shard counts points that were moved out of an index as indexed still.
        info = self._shard.info()
        never_indexed = max(0, info.points_count - info.indexed_vectors_count)
        try:
            return max(never_indexed, int((self._directory.current() / _UNINDEXED).read_text()))
        except (FileNotFoundError, ValueError):
            return never_indexed
