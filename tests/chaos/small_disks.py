"""Real full disks: a small file system in memory for a server's directory, filled on demand."""

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

MIB = 1 << 20
_FILLER = "filler"


class SmallDisk:
    """A file system of `mib` MiB over `folder`, which must not hold anything yet.

    Where this account may not mount, `mounted` is False and the folder stays what it was: then
    fill() does nothing and returns False.
    """

    def __init__(self, folder: Path, mib: int) -> None:
        self.folder = folder
        self.mib = mib
        self.mounted = False

    def fill(self, leave: int = 0) -> bool:
        """Takes all the space but `leave` bytes; whether it could."""
        if not self.mounted:
            return False
        room = os.statvfs(self.folder)
        size = max(0, room.f_bavail * room.f_frsize - leave)
        # Unbuffered: what is left in a buffer would fail once more at the end.
        with (self.folder / _FILLER).open("ab", buffering=0) as file:
            try:
                for _ in range(size // MIB):
                    file.write(bytes(MIB))
                file.write(bytes(size % MIB))
            except OSError:  # somebody else took the rest meanwhile
                pass
        return True

    def free(self) -> None:
        """Gives the space back."""
        (self.folder / _FILLER).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f"size={self.mib}m,mode=0777"
        mounting = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "shelflens-chaos", str(self.folder)],
            capture_output=True,
            check=False,
        )
        self.mounted = mounting.returncode == 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.mounted:  # lazily: a server may still be ending in there
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)
            self.mounted = False
