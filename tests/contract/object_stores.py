"""Every adapter of the ObjectStore port, each as a function that makes an empty store."""

from collections.abc import Callable
from pathlib import Path

from services.core.adapters.file_objects import FileObjects
from services.core.ports import ObjectStore

OBJECT_STORES: dict[str, Callable[[Path], ObjectStore]] = {
    "files": FileObjects,
    "files-fsync": lambda folder: FileObjects(folder, fsync=True),
}
