"""Which image is decoded next, so that all that are decoded at once fit into memory."""

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from services.core.domain.errors import Unavailable
from services.imaging.resizing import PixelRecipe, Pixels

_MAX_OVERTAKEN = 64  # by smaller images, before a large one is next
_WAITING_BYTES = 32 << 20  # of bulk files; whoever brings more waits


@dataclass(slots=True)
class Job:
    """An image that waits; `cost` is the memory that decoding it takes, in bytes."""

    data: bytes
    recipe: PixelRecipe
    cost: int
    urgent: bool = False
    result: "Future[Pixels]" = field(default_factory=Future)


class DecodeQueue:
    """Query photos first, then bulk images in their order, as far as `budget` bytes allow.

    A quarter more is kept for query photos, so that one of common size never waits for a bulk
    monster; a larger one takes from the budget and waits for bulk images in hand only. Small bulk
    images overtake one that has to wait for room, but not for ever. What is larger than the whole
    budget is decoded when no other bulk image is. Safe to call from many threads.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._reserve = budget // 4
        self._held = {True: 0, False: 0}  # bytes under way, by urgency
        self._urgent: deque[Job] = deque()
        self._bulk: deque[Job] = deque()
        self._overtaken = 0  # how often the first bulk image was
        self._waiting = 0  # bytes of the bulk files
        lock = threading.Lock()
        self._any_work = threading.Condition(lock)  # wakes threads that do everything
        self._query_work = threading.Condition(lock)  # wakes threads for query photos alone
        self._room = threading.Condition(lock)  # wakes those that bring bulk files
        self._closed = False

    def put(self, job: Job) -> None:
        """Waits while the bulk files that wait are many megabytes, unless the job is urgent.

        Raises Unavailable when closed.
        """
        with self._any_work:
            while not job.urgent and self._waiting >= _WAITING_BYTES and not self._closed:
                self._room.wait()
            if self._closed:
                raise Unavailable("the decoding pool is closed")
            self._waiting += 0 if job.urgent else len(job.data)
            (self._urgent if job.urgent else self._bulk).append(job)
            self._any_work.notify()
            if job.urgent:
                self._query_work.notify()

    def take(self, only_urgent: bool) -> Job | None:
        """Waits for a job that fits; None when closed. Call `done` with it afterwards."""
        work = self._query_work if only_urgent else self._any_work
        with work:
            while not self._closed:
                job = self._next_urgent() or (None if only_urgent else self._next_bulk())
                if job is not None:
                    self._held[job.urgent] += job.cost
                    return job
                work.wait()
        return None

    def done(self, job: Job) -> None:
        """Gives back the memory of a job that `take` gave."""
        with self._any_work:
            self._held[job.urgent] -= job.cost
            self._any_work.notify_all()
            self._query_work.notify_all()

    def close(self) -> None:
        """Cancels what waits and wakes every thread in `take`."""
        with self._any_work:
            self._closed = True
            left = [*self._urgent, *self._bulk]
            self._urgent.clear()
            self._bulk.clear()
            self._room.notify_all()
            self._any_work.notify_all()
            self._query_work.notify_all()
        for job in left:
            job.result.cancel()

    def _next_urgent(self) -> Job | None:
        for position, job in enumerate(self._urgent):
            if job.result.cancelled() or self._urgent_fits(job.cost):
                del self._urgent[position]
                return job
        return None

    def _next_bulk(self) -> Job | None:
        if self._urgent:  # it waits for room: nothing may take that
            return None
        choice = self._bulk if self._overtaken < _MAX_OVERTAKEN else list(self._bulk)[:1]
        for position, job in enumerate(choice):
            if job.result.cancelled() or self._bulk_fits(job.cost):
                del self._bulk[position]
                self._overtaken = self._overtaken + 1 if position else 0
                self._waiting -= len(job.data)
                self._room.notify_all()
                return job
        return None

    def _urgent_fits(self, cost: int) -> bool:
        beyond = self._held[True] + cost - self._reserve
        alone = not self._held[True] and not self._held[False]
        return beyond <= 0 or self._held[False] + beyond <= self._budget or alone

    def _bulk_fits(self, cost: int) -> bool:
        beyond = max(0, self._held[True] - self._reserve)
        if self._held[False] + beyond + cost <= self._budget:
            return True
        return not self._held[False] and not beyond
