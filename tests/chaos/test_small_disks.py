"""A disk that is full takes no more bytes until it is freed."""

import errno
from pathlib import Path

import pytest

from tests.chaos.small_disks import MIB, SmallDisk


def test_a_full_disk_refuses_writes_until_it_is_freed(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", 4) as disk:
        if not disk.mounted:
            pytest.skip("this account may not mount file systems")
        assert disk.fill()
        with pytest.raises(OSError, match="No space left") as raised:
            (disk.folder / "file").write_bytes(bytes(MIB))
        assert raised.value.errno == errno.ENOSPC
        disk.free()
        (disk.folder / "file").write_bytes(bytes(MIB))
    assert list((tmp_path / "disk").iterdir()) == []
