"""What files promise beyond the port: crashes, full disks, temporary files, speed."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import InvalidArgument, ResourceExhausted, Unavailable

WRITER = """
import hashlib, sys
from pathlib import Path
from services.core.adapters.file_objects import FileObjects
store = FileObjects(Path(sys.argv[1]))
for number in range(1_000_000):
    data = number.to_bytes(4, "big") * 200_000
    name = hashlib.sha256(data).hexdigest()
    store.put(f"images/sha256/{name[:2]}/{name[2:4]}/{name}", data)
    sys.stdout.write(name + "\\n")
    sys.stdout.flush()
"""


def temporary_files(root: Path) -> list[Path]:
    return [each for each in (root / "~tmp").rglob("*") if each.name not in ("gate", "lock")]


def test_kill_9_leaves_whole_objects_only_and_the_next_start_cleans_up(tmp_path: Path) -> None:
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read().split("\n")[:-1]
        writer.wait()
        store = FileObjects(tmp_path)
        assert [each for each in temporary_files(tmp_path) if each.is_file()] == []
        stored = {key.rpartition("/")[2] for key in store.keys("images/")}
        assert {each for each in acknowledged if len(each) == 64} <= stored
        for key in store.keys("images/"):
            store.get(key)  # checks the hash
            store.delete(key)


def test_a_second_store_leaves_the_temporary_files_of_a_living_one(tmp_path: Path) -> None:
    first = FileObjects(tmp_path)

    def chunks() -> Iterator[bytes]:
        yield b"still "
        FileObjects(tmp_path)
        yield b"whole"

    assert first.put_stream("k", chunks()) == len("still whole")
    assert first.get("k") == b"still whole"


def test_a_store_that_is_gone_leaves_no_temporary_folder(tmp_path: Path) -> None:
    store = FileObjects(tmp_path)
    store.put("k", b"x")
    assert len(temporary_files(tmp_path)) == 1
    del store
    assert temporary_files(tmp_path) == []


def test_a_full_disk_is_storage_full_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileObjects(tmp_path)
    store.put("k", b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ResourceExhausted) as caught:
        store.put("k", b"new")
    assert caught.value.reason == "STORAGE_FULL"
    monkeypatch.undo()
    assert store.get("k") == b"old"
    assert [each for each in temporary_files(tmp_path) if each.is_file()] == []


def test_other_errors_of_the_disk_are_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileObjects(tmp_path)

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(Unavailable):
        store.put("k", b"new")


def test_a_key_below_another_key_is_a_conflict(tmp_path: Path) -> None:
    store = FileObjects(tmp_path)
    store.put("a/b", b"x")
    for key in ("a", "a/b/c", "a/b/c/d"):
        with pytest.raises(InvalidArgument) as caught:
            store.put(key, b"y")
        assert caught.value.reason == "KEY_CONFLICT"
    assert list(store.keys("")) == ["a/b"]


def test_a_removed_folder_is_made_again(tmp_path: Path) -> None:
    store = FileObjects(tmp_path)
    store.put("a/b/c", b"x")
    store.delete("a/b/c")
    (tmp_path / "a/b").rmdir()
    store.put("a/b/c", b"y")
    assert store.get("a/b/c") == b"y"


def test_putting_50_kb_takes_well_under_a_millisecond(tmp_path: Path) -> None:
    store, data = FileObjects(tmp_path), os.urandom(50_000)
    name = hashlib.sha256(data).hexdigest()
    best = 1.0
    for number in range(200):
        started = time.perf_counter()
        store.put(f"images/sha256/{name[:2]}/{number % 16:02x}/{number:064x}", data)
        best = min(best, time.perf_counter() - started)
    assert best < 0.001  # seconds; 0.06 ms where this was written
