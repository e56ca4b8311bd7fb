"""The directory of a collection: which of its generations answers, and cleaning up after kills."""

import errno
import hashlib
import json
import os
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from services.core.adapters.qdrant_vectors.options import CollectionOptions
from services.core.ports import CollectionSpec

_MAKING, _DROPPED = ".making-", ".dropped-"
_PIECE = 1 << 20


class CollectionDirectory:
    """Paths of one collection. Its name is a hash, so that no outside name becomes a path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / "journal"
        described = json.loads((path / "collection.json").read_text())
        # Directories of earlier versions name no options.
        self.options = CollectionOptions(**described.pop("options", {}))
        self.spec = CollectionSpec(**described)

    def current(self) -> Path:
        return self.path / (self.path / "current").read_text()

    def following(self) -> Path:
        """A path for the generation after the current one; nothing is there."""
        number = int(self.current().name.removeprefix("generation-")) + 1
        path = self.path / f"generation-{number}"
        remove(path)
        return path

    def switch(self, generation: Path) -> None:
        """Makes `generation` the one that answers, at once or not at all."""
        replace_text(self.path / "current", generation.name)

    def sweep(self) -> None:
        """Removes what a build left behind."""
        keep = {"collection.json", "current", self.current().name}
        for entry in self.path.iterdir():
            if entry.name not in keep:
                remove(entry)

    def drop(self) -> None:
        """Removes the collection, at once for whoever looks afterwards."""
        hidden = self.path.with_name(f"{_DROPPED}{uuid.uuid4().hex}")
        self.path.rename(hidden)
        remove(hidden)


class DirectoryDraft:
    """A collection directory that exists only once it is complete: fill `generation`, `finish`."""

    def __init__(self, data: Path, spec: CollectionSpec, options: CollectionOptions) -> None:
        self._final = data / hashlib.sha256(spec.name.encode()).hexdigest()[:32]
        self._path = data / f"{_MAKING}{uuid.uuid4().hex}"
        self.generation = self._path / "generation-1"
        self.generation.mkdir(parents=True)
        described = {
            "name": spec.name,
            "dimension": spec.dimension,
            "distance": spec.distance,
            "options": asdict(options),
        }
        (self._path / "collection.json").write_text(json.dumps(described))
        (self._path / "current").write_text(self.generation.name)

    def finish(self) -> CollectionDirectory:
        self._path.rename(self._final)
        return CollectionDirectory(self._final)


def collection_directories(data: Path) -> list[CollectionDirectory]:
    """All collections, swept; removes those half made or half dropped."""
    found = []
    for entry in data.iterdir():
        if entry.name.startswith((_MAKING, _DROPPED)):
            remove(entry)
        elif entry.is_dir():
            directory = CollectionDirectory(entry)
            directory.sweep()
            found.append(directory)
    return found


def copy_tree(source: Path, target: Path) -> None:
    """Copies a shard's files. Those are mostly holes, which stay holes; no Python lock is held."""
    shutil.copytree(source, target, copy_function=_copy_extents)


def remove(path: Path) -> None:
    """Removes a file or a tree; it may be gone already."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _copy_extents(source: str, target: str) -> None:
    with open(source, "rb") as read, open(target, "wb") as write:
        size = os.fstat(read.fileno()).st_size
        write.truncate(size)
        offset = 0
        while offset < size:
            try:
                begin = os.lseek(read.fileno(), offset, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # only a hole is left
                    return
                raise
            offset = os.lseek(read.fileno(), begin, os.SEEK_HOLE)
            read.seek(begin)
            write.seek(begin)
            _copy_bytes(read, write, offset - begin)


def _copy_bytes(read: BinaryIO, write: BinaryIO, length: int) -> None:
    while length > 0:
        piece = read.read(min(length, _PIECE))
        if not piece:
            return
        write.write(piece)
        length -= len(piece)


def replace_text(path: Path, text: str) -> None:
    """Writes the file at once or not at all."""
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    draft.write_text(text)
    os.replace(draft, path)
