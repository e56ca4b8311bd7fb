"""Peak memory of several processes together, sampled: what is theirs alone (RssAnon)."""

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import psutil

_PERIOD_SECONDS = 0.1
_KIB = 1024

Group = Callable[[], Iterable[psutil.Process]]


class PeakMemory:
    """Within a with block, samples groups of processes every 0.1 s.

    `peak` is the most that all had at one time, `peaks` the most of each group, in bytes. RssAnon
    leaves out mapped files: the kernel takes those pages back when it wants them.
    """

    def __init__(self, groups: Mapping[str, Group]) -> None:
        self._groups = groups
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)
        self.peak = 0
        self.peaks = dict.fromkeys(groups, 0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_PERIOD_SECONDS):
            found = {
                name: sum(anonymous_bytes(each.pid) for each in group())
                for name, group in self._groups.items()
            }
            self.peak = max(self.peak, sum(found.values()))
            self.peaks = {name: max(self.peaks[name], found[name]) for name in found}


class Resident(NamedTuple):
    """Bytes of a process in memory: its own, and pages of mapped files (RssAnon, RssFile)."""

    anonymous: int
    files: int


def resident_bytes(pid: int) -> Resident:
    """Of one process; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return Resident(0, 0)
    # A process that has ended and was not waited for has neither line.
    lines = dict(line.split(":", 1) for line in status.splitlines())
    anonymous, files = (
        int(lines.get(name, "0 kB").split()[0]) * _KIB for name in ("RssAnon", "RssFile")
    )
    return Resident(anonymous, files)


def anonymous_bytes(pid: int) -> int:
    """RssAnon of one process; 0 when it has ended."""
    return resident_bytes(pid).anonymous
