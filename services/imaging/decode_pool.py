"""Decodes images in child processes that can be killed, query photos before bulk work.

An image that hangs or crashes its child is refused and the child replaced; nothing else notices.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from services.core.domain.errors import DeadlineExceeded, InvalidImage, Unavailable
from services.imaging.decode_process import ChildCrashed, DecodeProcess
from services.imaging.limits import ImageLimits
from services.imaging.look_ahead import in_order
from services.imaging.resizing import PixelRecipe, Pixels
from services.imaging.verdicts import Verdict, refuse

_BULK_NICENESS = 5  # forwards and query photos go first when cores are short


@dataclass(slots=True)
class _Job:
    data: bytes
    recipe: PixelRecipe
    result: "Future[Pixels]" = field(default_factory=Future)


class DecodePool:
    """`workers` children for everything plus `reserved` children for query photos alone, so that
    a query waits for at most one other query's image even while all workers chew on slow ones.

    `image_seconds` (of processor time) and `memory_limit` (bytes) bound what one image may take.
    Safe to call from many threads. Use as a context manager or call close().
    """

    def __init__(
        self,
        workers: int,
        *,
        reserved: int = 1,
        limits: ImageLimits | None = None,
        image_seconds: float = 10.0,
        memory_limit: int = 1 << 30,
    ) -> None:
        if workers < 1 or reserved < 0:
            raise ValueError("a pool has at least one worker")
        self.limits = limits or ImageLimits()
        self._image_seconds = image_seconds
        self._memory_limit = memory_limit
        self._urgent: deque[_Job] = deque()
        self._bulk: deque[_Job] = deque()
        lock = threading.Lock()
        self._any_work = threading.Condition(lock)  # wakes one worker
        self._query_work = threading.Condition(lock)  # wakes one reserved child's thread
        self._closed = False
        self._children: list[DecodeProcess | None] = [None] * (workers + reserved)
        self._ahead = 2 * workers + 16
        self._threads = [
            threading.Thread(
                target=self._drive, args=(number, number >= workers), name=f"decode-{number}"
            )
            for number in range(workers + reserved)
        ]
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the live children."""
        return tuple(child.pid for child in self._children if child)

    def submit(self, data: bytes, recipe: PixelRecipe, *, urgent: bool = False) -> "Future[Pixels]":
        """Pixels uint8 [crop, crop, 3] to come, or InvalidImage, or Unavailable (no children).

        Cancelling the future drops the image if no child has it yet.
        """
        job = _Job(data, recipe)
        with self._any_work:
            if self._closed:
                raise Unavailable("the decoding pool is closed")
            (self._urgent if urgent else self._bulk).append(job)
            self._any_work.notify()
            if urgent:
                self._query_work.notify()
        return job.result

    def decode(self, data: bytes, recipe: PixelRecipe, timeout: float | None = None) -> Pixels:
        """As submit for a query photo; raises DeadlineExceeded after `timeout` seconds."""
        result = self.submit(data, recipe, urgent=True)
        try:
            return result.result(timeout)
        except TimeoutError as error:
            result.cancel()
            raise DeadlineExceeded(f"the photo was not decoded in {timeout:.3g} s") from error

    def decode_many(
        self, items: Iterable[bytes], recipe: PixelRecipe
    ) -> Iterator[Pixels | InvalidImage]:
        """Pixels or the refusal of each item, in order, reading `items` a little ahead."""
        for result in in_order(items, lambda data: self.submit(data, recipe), self._ahead):
            error = result.exception()
            if error is None:
                yield result.result()
            elif isinstance(error, InvalidImage):
                yield error
            else:
                raise error

    def close(self) -> None:
        """Refuses what still waits and kills the children."""
        with self._any_work:
            self._closed = True
            left = [*self._urgent, *self._bulk]
            self._urgent.clear()
            self._bulk.clear()
            self._any_work.notify_all()
            self._query_work.notify_all()
        for job in left:
            job.result.cancel()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _drive(self, number: int, reserved: bool) -> None:
        """One thread per child: it starts the child, feeds it and replaces it."""
        niceness = 0 if reserved else _BULK_NICENESS
        try:
            while True:
                if self._children[number] is None:
                    with suppress(Unavailable):  # the next image tries again and reports it
                        self._start(number, niceness)
                if (job := self._next(reserved)) is None:
                    return
                if job.result.set_running_or_notify_cancel():
                    self._serve(number, niceness, job)
        finally:
            self._stop(number)

    def _next(self, reserved: bool) -> _Job | None:
        work = self._query_work if reserved else self._any_work
        with work:
            while not self._closed:
                if self._urgent:
                    return self._urgent.popleft()
                if self._bulk and not reserved:
                    return self._bulk.popleft()
                work.wait()
        return None

    def _serve(self, number: int, niceness: int, job: _Job) -> None:
        # Twice, because a child may have died for a reason that is not this image (the kernel was
        # short of memory, an operator killed it).
        for _ in range(2):
            try:
                child = self._children[number] or self._start(number, niceness)
                job.result.set_result(child.decode(job.data, job.recipe, self._image_seconds))
                return
            except (InvalidImage, Unavailable) as error:
                job.result.set_exception(error)
                return
            except TimeoutError:
                self._stop(number)
                job.result.set_exception(refuse(Verdict.IMAGE_DECODE_TIMEOUT))
                return
            except ChildCrashed:
                self._stop(number)
        job.result.set_exception(refuse(Verdict.IMAGE_DECODE_CRASHED))

    def _start(self, number: int, niceness: int) -> DecodeProcess:
        child = DecodeProcess(self.limits, self._memory_limit, niceness)
        self._children[number] = child
        return child

    def _stop(self, number: int) -> None:
        if child := self._children[number]:
            self._children[number] = None
            child.close()
