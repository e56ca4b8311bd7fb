"""Objects as files: the local profile's ObjectStore."""

import errno
import fcntl
import os
import shutil
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from stat import S_ISREG

from services.core.adapters.object_keys import (
    check_content,
    check_key,
    check_prefix,
    check_range,
)
from services.core.domain.errors import (
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from services.core.ports import ObjectStore

PIECE = 1 << 20
_TEMPORARY = "~tmp"  # no key can name it: ~ is not allowed in keys
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileObjects(ObjectStore):
    """Objects under `root`, one file each, readable by people.

    A file gets its key by a rename within the file system, so a killed process leaves no half
    object. With `fsync` (milliseconds a put) objects also survive a power cut. Several processes
    may share one root. Unlike in S3, `a` and `a/b` cannot both be keys: KEY_CONFLICT.
    """

    def __init__(self, root: Path, fsync: bool = False) -> None:
        self._root = os.path.realpath(root)
        self._fsync = fsync
        self._numbers = count()
        with _storing(str(root)):
            os.makedirs(self._root, exist_ok=True)
            self._temporary, lock = _claim_temporary(os.path.join(self._root, _TEMPORARY))
        weakref.finalize(self, _give_up_temporary, self._temporary, lock)

    def put(self, key: str, data: bytes) -> None:
        self._write(key, (data,))

    def put_stream(self, key: str, chunks: Iterable[bytes]) -> int:
        return self._write(key, chunks)

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with _reading(key), open(path, "rb", buffering=0) as file:
            data = file.readall()
        return check_content(key, data)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        check_range(key, offset, length)
        path = self._path(key)
        with _reading(key), open(path, "rb", buffering=0) as file:
            file.seek(offset)
            pieces = []
            while length > 0 and (piece := file.read(length)):
                pieces.append(piece)
                length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def stream(self, key: str, offset: int = 0) -> Iterator[bytes]:
        if self.size(key) is None:
            raise _missing(key)
        return self._pieces(key, offset)

    def size(self, key: str) -> int | None:
        path = self._path(key)
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unavailable(key, error) from error
        return status.st_size if S_ISREG(status.st_mode) else None

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            with _reading(key):
                os.unlink(path)
        except NotFound:
            pass

    def keys(self, prefix: str) -> Iterator[str]:
        folder = check_prefix(prefix).rpartition("/")[0]
        return self._walk(folder, prefix)

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_key(key)}"

    def _write(self, key: str, chunks: Iterable[bytes]) -> int:
        target = self._path(key)
        temporary = f"{self._temporary}/{next(self._numbers)}"
        try:
            length = self._write_file(temporary, key, chunks)
            with _storing(key):
                self._rename(temporary, target)
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
        return length

    def _write_file(self, path: str, key: str, chunks: Iterable[bytes]) -> int:
        length = 0
        with _storing(key):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            for chunk in chunks:  # may raise errors of its own, which pass untranslated
                with _storing(key):
                    _write_all(descriptor, chunk)
                length += len(chunk)
            if self._fsync:
                with _storing(key):
                    os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return length

    def _rename(self, temporary: str, target: str) -> None:
        folder = os.path.dirname(target)
        try:
            os.replace(temporary, target)
        except FileNotFoundError:  # rare after the first objects: cheaper than looking every time
            os.makedirs(folder, exist_ok=True)
            os.replace(temporary, target)
            if self._fsync:  # any folder above may be new
                above = os.path.dirname(folder)
                while len(above) >= len(self._root):
                    _fsync_folder(above)
                    above = os.path.dirname(above)
        if self._fsync:
            _fsync_folder(folder)

    def _pieces(self, key: str, offset: int) -> Iterator[bytes]:
        with _reading(key):
            file = open(self._path(key), "rb", buffering=0)  # noqa: SIM115
        with file:
            file.seek(offset)
            while True:
                with _reading(key):
                    piece = file.read(PIECE)
                if not piece:
                    return
                yield piece

    def _walk(self, folder: str, prefix: str) -> Iterator[str]:
        try:
            with _reading(folder):
                entries = sorted(os.scandir(f"{self._root}/{folder}"), key=lambda entry: entry.name)
        except NotFound:
            return
        for entry in entries:
            key = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name == _TEMPORARY or not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(key, prefix)
            elif key.startswith(prefix):
                yield key


def _claim_temporary(parent: str) -> tuple[str, int]:
    """A folder of our own and the descriptor whose lock says that we live.

    Folders of dead processes are removed. The outer lock covers the moment in which a new folder
    is not locked yet.
    """
    os.makedirs(parent, exist_ok=True)
    gate = os.open(f"{parent}/gate", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        for name in os.listdir(parent):
            if name != "gate":
                _remove_if_dead(f"{parent}/{name}")
        mine = f"{parent}/{os.getpid()}-{os.urandom(4).hex()}"
        os.mkdir(mine)
        lock = os.open(f"{mine}/lock", os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(gate)
    return mine, lock


def _give_up_temporary(folder: str, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _remove_if_dead(folder: str) -> None:
    try:
        lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:  # not one of ours
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def _fsync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _reading(key: str) -> Iterator[None]:
    """The operating system's errors while reading `key`, as errors of the domain."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise _missing(key) from error
    except OSError as error:
        raise _unavailable(key, error) from error


@contextmanager
def _storing(key: str) -> Iterator[None]:
    """The same while writing `key`."""
    try:
        yield
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise InvalidArgument.field(
            "key", f"{key} is below another key, or another is below it", reason="KEY_CONFLICT"
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceExhausted(
                f"{key}: no space left in the data directory: free some and repeat",
                reason="STORAGE_FULL",
            ) from error
        raise _unavailable(key, error) from error


def _missing(key: str) -> NotFound:
    return NotFound(f"object {key} does not exist", metadata={"key": key})


def _unavailable(key: str, error: OSError) -> Unavailable:
    return Unavailable(f"{key}: {error.strerror or error}", reason="STORAGE_UNAVAILABLE")
