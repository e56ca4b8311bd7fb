"""What happens beside the calls: write-ahead logs are flushed, indexes built."""

import logging
import threading
import time
from pathlib import Path

from services.core.domain.errors import Unavailable
from services.core.runtime.child_process import Child, start_child
from services.local.vector_server.collection import Collection
from services.local.vector_server.settings import Settings
from services.local.vector_server.shards import index_threshold
from services.local.vector_server.store import Store

log = logging.getLogger(__name__)

_TURN_SECONDS = 0.2
_PAUSE_AFTER_FAILURE = 60.0
_BUILDER_START_SECONDS = 60.0
# With every build the index may be merged as a whole, so the more is indexed the more is awaited.
_SHARE_OF_INDEXED = 1 / 8
# A build takes a core from the import that fills the collection, and what is written meanwhile is
# beside the index again: it waits for a pause, but not for ever.
_PAUSE_SECONDS = 2.0
_MOST_UNINDEXED = 4  # times the threshold


class Upkeep:
    """Two threads; one build at a time."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._flush_turns, name="flushes", daemon=True),
            threading.Thread(target=self._build_turns, name="builds", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Gives up a running build and returns when both threads have ended."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _flush_turns(self) -> None:
        settings = self._settings
        while not self._stopping.wait(_TURN_SECONDS):
            for collection in self._store.collections():
                try:
                    collection.flush_if_due(settings.flush_bytes, settings.flush_seconds)
                except Exception:
                    log.exception("collection %s was not flushed", collection.spec.name)

    def _build_turns(self) -> None:
        while not self._stopping.wait(_TURN_SECONDS):
            due = [each for each in self._store.collections() if self._is_due(each)]
            for collection in due:
                try:
                    self._build(collection)
                except Exception:
                    if collection.closed:  # its files went away under the build
                        continue
                    log.exception("no index for collection %s", collection.spec.name)
                    self._stopping.wait(_PAUSE_AFTER_FAILURE)

    def _is_due(self, collection: Collection) -> bool:
        threshold = self._index_threshold(collection)
        if threshold is None or collection.unindexed < threshold:
            return False
        most = _MOST_UNINDEXED * threshold
        if collection.unindexed < most and collection.quiet_seconds < _PAUSE_SECONDS:
            return False
        indexed = collection.shard.info().points_count - collection.unindexed
        return collection.unindexed >= indexed * _SHARE_OF_INDEXED

    def _index_threshold(self, collection: Collection) -> int | None:
        default = self._settings.index_threshold
        return index_threshold(collection.spec, collection.options, default)

    def _build(self, collection: Collection) -> None:
        started = time.monotonic()
        name, points = collection.spec.name, collection.unindexed
        generation = collection.begin_generation()
        if generation is None:
            return
        finished = False
        try:
            if self._run_builder(collection, generation):
                applied = int((generation / "applied").read_text())
                finished = collection.finish_generation(generation, applied)
        finally:
            if not finished:
                collection.abandon_generation(generation)
        if finished:
            seconds = time.monotonic() - started
            log.info("indexed %d points of collection %s in %.1f s", points, name, seconds)

    def _run_builder(self, collection: Collection, generation: Path) -> bool:
        """False when the server stops or the collection was dropped; raises Unavailable."""
        child = start_child(
            "services.local.vector_server.builder",
            self._builder_arguments(collection, generation),
            ready_timeout=_BUILDER_START_SECONDS,
        )
        if not self._wait_for(child, collection):
            child.process.kill()
            child.process.wait()
            return False
        if child.process.returncode != 0:
            raise Unavailable(
                f"the index builder ended with exit code {child.process.returncode}",
                reason="CHILD_FAILED",
            )
        return True

    def _wait_for(self, child: Child, collection: Collection) -> bool:
        while child.alive:
            if self._stopping.wait(_TURN_SECONDS) or collection.closed:
                return False
        return True

    def _builder_arguments(self, collection: Collection, generation: Path) -> list[str]:
        arguments = {
            "--collection": collection.path,
            "--generation": generation,
            "--index-threshold": self._index_threshold(collection),
            "--threads": self._settings.build_threads,
        }
        return [str(each) for pair in arguments.items() for each in pair]
