"""All collections of the vector server."""

import fcntl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import grpc

from services.core.adapters.qdrant_vectors.options import CollectionOptions
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import FailedPrecondition
from services.core.ports import CollectionSpec
from services.local.vector_server.aliases import Aliases
from services.local.vector_server.collection import Collection
from services.local.vector_server.directories import DirectoryDraft, collection_directories
from services.local.vector_server.refusals import Refused, bad_request, no_such_collection
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
        self._aliases = Aliases(data / "aliases.json")
        self._collections: dict[str, Collection] = {}
        for directory in collection_directories(data):
            self._collections[directory.spec.name] = Collection(directory)

    def collections(self) -> list[Collection]:
        with self._changing:
            return list(self._collections.values())

    def get(self, name: str) -> Collection:
        """The collection of that name or alias. Raises Refused (NOT_FOUND)."""
        collection = self._collections.get(self._aliases.target(name))
        if collection is None:
            raise no_such_collection(name)
        return collection

    def create(self, spec: CollectionSpec, options: CollectionOptions) -> None:
        """Raises Refused (ALREADY_EXISTS, INVALID_ARGUMENT)."""
        with self._changing:
            if spec.name in self._collections:
                details = f"Wrong input: Collection `{spec.name}` already exists!"
                raise Refused(grpc.StatusCode.ALREADY_EXISTS, details)
            if self._aliases.target(spec.name) != spec.name:
                raise bad_request(f"Alias with the name `{spec.name}` already exists!")
            draft = DirectoryDraft(self._data, spec, options)
            create_shard(draft.generation, spec, options)
            self._collections[spec.name] = Collection(draft.finish())

    def drop(self, name: str) -> bool:
        """False when there was no such collection."""
        with self._changing:
            collection = self._collections.pop(name, None)
            if collection is not None:
                self._aliases.forget(name)
                collection.drop()
            return collection is not None

    def aliases(self) -> dict[str, str]:
        """Collection names by alias."""
        return self._aliases.all()

    def change_aliases(self, actions: Sequence[q.AliasOperations]) -> None:
        """All of the actions or none. Raises Refused (NOT_FOUND, INVALID_ARGUMENT)."""
        with self._changing:
            self._aliases.change(actions, self._collections.__contains__)

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
