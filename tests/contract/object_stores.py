"""Every adapter of the ObjectStore port, each as a function that makes an empty store."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.ports import ObjectStore
from tests.servers.s3 import REAL, S3Server

OBJECT_STORES: dict[str, Callable[[Path], ObjectStore]] = {
    "files": FileObjects,
    "files-fsync": lambda folder: FileObjects(folder, fsync=True),
}
# Fixtures. Without an address for the last one, one test says so, and not every one.
S3_SERVERS = ("s3_rclone", "s3_moto", *(["s3_real"] if os.environ.get(REAL) else []))
ALL = [
    *sorted(OBJECT_STORES),
    *(pytest.param(each, marks=pytest.mark.servers) for each in S3_SERVERS),
]


def open_store(request: pytest.FixtureRequest, name: str, folder: Path) -> Iterator[ObjectStore]:
    """An empty store of one kind, for as long as the generator lives."""
    if name in OBJECT_STORES:
        yield OBJECT_STORES[name](folder)
        return
    server: S3Server = request.getfixturevalue(name)
    with server.bucket() as store:
        yield store
