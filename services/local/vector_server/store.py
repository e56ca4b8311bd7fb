"""All collections of the vector server."""

import fcntl
import threading
from pathlib import Path
from typing import IO

import grpc

from services.core.domain.errors import FailedPrecondition
from services.core.ports import CollectionSpec
from services.local.vector_server.collection import Collection
from services.local.vector_server.directories import DirectoryDraft, collection_directories
from services.local.vector_server.refusals import Refused, no_such_collection
from services.local.vector_server.shards import create_shard


class Store:
    """Opens every collection under `data`.

    Raises FailedPrecondition (DATA_DIRECTORY_IN_USE) when another server owns the directory.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        data.mkdir(parents=True, exist_ok=True)
        self._lock_file = _own(data)
        self._changing = threading.Lock()
        self._collections: dict[str, Collection] = {}
        for directory in collection_directories(data):
            self._collections[directory.spec.name] = Collection(directory)

    def collections(self) -> list[Collection]:
        with self._changing:
            return list(self._collections.values())

    def get(self, name: str) -> Collection:
        """Raises Refused (NOT_FOUND)."""
        collection = self._collections.get(name)
        if collection is None:
            raise no_such_collection(name)
        return collection

    def create(self, spec: CollectionSpec) -> None:
        """Raises Refused (ALREADY_EXISTS)."""
        with self._changing:
            if spec.name in self._collections:
                details = f"Wrong input: Collection `{spec.name}` already exists!"
                raise Refused(grpc.StatusCode.ALREADY_EXISTS, details)
            draft = DirectoryDraft(self._data, spec)
            create_shard(draft.generation, spec)
            self._collections[spec.name] = Collection(draft.finish())

    def drop(self, name: str) -> bool:
        """False when there was no such collection."""
        with self._changing:
            collection = self._collections.pop(name, None)
            if collection is not None:
                collection.drop()
            return collection is not None

    def close(self) -> None:
        for collection in self.collections():
            collection.close()
        self._lock_file.close()


def _own(data: Path) -> IO[bytes]:
    lock_file = (data / "lock").open("wb")
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock_file.close()
        raise FailedPrecondition(
            f"another vector server owns {data}: stop it or use another data directory",
            reason="DATA_DIRECTORY_IN_USE",
        ) from None
    return lock_file
