"""Decodes images in child processes that can be killed, query photos before bulk work.

An image that hangs or crashes its child is refused and the child replaced; nothing else notices.
"""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Self

from services.core.domain.errors import (
    DeadlineExceeded,
    InvalidImage,
    ShelflensError,
    Unavailable,
)
from services.imaging.costs import decoding_bytes
from services.imaging.decode_process import ChildCrashed, DecodeProcess
from services.imaging.decode_queue import DecodeQueue, Job
from services.imaging.headers import inspect
from services.imaging.limits import ImageLimits
from services.imaging.look_ahead import in_order
from services.imaging.resizing import PixelRecipe, Pixels, at_least
from services.imaging.verdicts import Verdict, refuse

_BULK_NICENESS = 5  # forwards and query photos go first when cores are short
_MIB = 1 << 20


class DecodePool:
    """`workers` children for everything plus `reserved` children for query photos alone, so that
    a query waits for at most one other query's image even while all workers chew on slow ones.

    `image_seconds` (of processor time) and `memory_limit` (bytes) bound what one image may take,
    and `budget` (bytes, a quarter more with query photos) what all that are decoded at once take
    by their headers; an image that alone takes more runs without others beside it.
    Safe to call from many threads. Use as a context manager or call close().
    """

    def __init__(
        self,
        workers: int,
        *,
        reserved: int = 1,
        limits: ImageLimits | None = None,
        image_seconds: float = 10.0,
        memory_limit: int = 456 * _MIB,
        budget: int = 400_000_000,
    ) -> None:
        if workers < 1 or reserved < 0:
            raise ValueError("a pool has at least one worker")
        self.limits = limits or ImageLimits()
        self._image_seconds = image_seconds
        self._memory_limit = memory_limit
        self._queue = DecodeQueue(budget)
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
        """Pixels uint8 [recipe.row_bytes] to come, or InvalidImage, or Unavailable (no children).

        What the header gives away is refused without a child. Waits while bulk images that wait
        hold many megabytes. Cancelling the future drops the image if no child has it yet.
        """
        job = Job(data, recipe, 0, urgent)
        try:
            info = inspect(data, self.limits)
            job.cost = decoding_bytes(info, at_least(recipe.squares)) + recipe.row_bytes
        except InvalidImage as error:
            job.result.set_exception(error)
            return job.result
        self._queue.put(job)
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
        self._queue.close()
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
                if (job := self._queue.take(only_urgent=reserved)) is None:
                    return
                try:
                    if job.result.set_running_or_notify_cancel():
                        self._serve(number, niceness, job)
                finally:
                    self._queue.done(job)
                del job  # its bytes, while this thread waits for the next one
        finally:
            self._stop(number)

    def _serve(self, number: int, niceness: int, job: Job) -> None:
        # Twice, because a child may have died for a reason that is not this image (the kernel was
        # short of memory, an operator killed it).
        for _ in range(2):
            try:
                child = self._children[number] or self._start(number, niceness)
                pixels = child.decode(job.data, job.recipe, job.cost, self._image_seconds)
                job.result.set_result(pixels)
                return
            except (InvalidImage, Unavailable) as error:
                job.result.set_exception(self._explained(error, job))
                return
            except TimeoutError:
                self._stop(number)
                job.result.set_exception(refuse(Verdict.IMAGE_DECODE_TIMEOUT))
                return
            except ChildCrashed:
                self._stop(number)
        job.result.set_exception(refuse(Verdict.IMAGE_DECODE_CRASHED))

    def _explained(self, error: ShelflensError, job: Job) -> ShelflensError:
        # Codecs that get no memory say that the file is damaged.
        if error.reason == Verdict.IMAGE_UNDECODABLE and job.cost > self._memory_limit:
            return refuse(Verdict.IMAGE_MEMORY_EXCEEDED, f"about {job.cost // _MIB} MiB")
        return error

    def _start(self, number: int, niceness: int) -> DecodeProcess:
        child = DecodeProcess(self.limits, self._memory_limit, niceness)
        self._children[number] = child
        return child

    def _stop(self, number: int) -> None:
        if child := self._children[number]:
            self._children[number] = None
            child.close()
