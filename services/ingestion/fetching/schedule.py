"""Which image is asked for next: per host only so many at a time, and not before it is due."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from services.ingestion.fetching.jobs import Batch, Job
from services.ingestion.fetching.limits import FetchLimits

_HOSTS_KEPT = 4_096


@dataclass(slots=True)
class _Host:
    waiting: list[tuple[float, int, Job]] = field(default_factory=list)  # a heap, by when due
    active: int = 0
    paused_until: float = 0.0
    failures: int = 0  # in a row

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.active


class Schedule:
    """The jobs of all shards of this process, by host, and how the hosts are doing.

    Jobs that wait hold no thread, so a slow host delays no other. Safe to call from many threads.
    """

    def __init__(
        self, limits: FetchLimits, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._hosts: dict[str, _Host] = {}
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._closed = False

    def add(self, jobs: Iterable[Job], due: float = 0.0) -> None:
        """Each at its host, not before `due` (monotonic seconds)."""
        with self._changed:
            for job in jobs:
                host = self._hosts.setdefault(job.url.host, _Host())
                heapq.heappush(host.waiting, (due, next(self._numbers), job))
            self._changed.notify_all()

    def take(self) -> Job | None:
        """Waits for a job that is due; None once closed. `release` its host afterwards."""
        with self._changed:
            while not self._closed:
                name, soonest = self._next()
                if name is not None:
                    host = self._hosts.pop(name)
                    self._hosts[name] = host  # last: the hosts take turns
                    host.active += 1
                    return heapq.heappop(host.waiting)[2]
                wait = None if soonest is None else max(0.0, soonest - self._monotonic())
                self._changed.wait(wait)
            return None

    def release(self, host: str) -> None:
        """A request to `host` has ended."""
        with self._changed:
            self._hosts[host].active -= 1
            if len(self._hosts) > _HOSTS_KEPT:
                self._hosts = {name: each for name, each in self._hosts.items() if not each.idle}
            self._changed.notify_all()

    def pause(self, host: str, until: float) -> None:
        """Nothing is asked of `host` before `until` (monotonic seconds)."""
        with self._changed:
            found = self._hosts.setdefault(host, _Host())
            found.paused_until = max(found.paused_until, until)

    def note(self, host: str, failed: bool) -> int:
        """Counts the failures of `host` in a row, over all shards; returns them."""
        with self._changed:
            found = self._hosts.setdefault(host, _Host())
            found.failures = found.failures + 1 if failed else 0
            return found.failures

    def drop(self, batch: Batch, host: str = "") -> list[Job]:
        """Takes out the waiting jobs of `batch`, those at `host` or all."""
        dropped = []
        with self._changed:
            for name, each in self._hosts.items():
                if host in ("", name):
                    dropped += [job for _, _, job in each.waiting if job.batch is batch]
                    each.waiting = [one for one in each.waiting if one[2].batch is not batch]
                    heapq.heapify(each.waiting)
        return dropped

    def close(self) -> None:
        """Lets every `take` return None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self) -> tuple[str | None, float | None]:
        """A host that may be asked now, or when the soonest one may (None: no telling)."""
        now = self._monotonic()
        soonest: float | None = None
        for name, host in self._hosts.items():
            if not host.waiting or host.active >= self._limits.connections_per_host:
                continue
            due = max(host.waiting[0][0], host.paused_until)
            if due <= now:
                return name, None
            soonest = due if soonest is None else min(soonest, due)
        return None, soonest
