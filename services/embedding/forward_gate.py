"""Decides which forward pass runs next: query photos first, one pass per lane at a time."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from services.core.domain.errors import Unavailable
from services.core.ports import Float32

Batch = npt.NDArray[np.uint8]
Embedded = tuple[Float32, Float32]
Forward = Callable[[Batch], Embedded]


@dataclass(slots=True)
class _Pass:
    forward: Forward
    pixels: Batch
    result: "Future[Embedded]" = field(default_factory=Future)
    came: float = field(default_factory=time.monotonic)


class ForwardGate:
    """Runs forwards of all loaded models on `lanes` threads (one per processor that computes).

    A bulk batch runs as it came. Queries that wait when a lane becomes free are put together into
    one pass of at most `query_batch`, so a lone query is never delayed and a crowd is batched. A
    query waits at most for the bulk batch in hand, and, where a pass costs the same for many, for
    `query_window` seconds for others to join it. `prepare` runs once in every lane.
    """

    def __init__(
        self,
        lanes: int = 1,
        *,
        query_batch: int = 16,
        query_window: float = 0.0,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._query_batch = query_batch
        self._query_window = query_window
        self._prepare = prepare
        self._queries: deque[_Pass] = deque()
        self._bulk: deque[_Pass] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.lanes = lanes
        self._threads = [
            threading.Thread(target=self._run, name=f"forward-{number}", daemon=True)
            for number in range(lanes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, forward: Forward, pixels: Batch, *, urgent: bool) -> "Future[Embedded]":
        """(embeddings [n, d], norms [n]) to come of pixels uint8 [n, ...].

        Urgent passes of the same `forward` may run as one. Cancelling drops what has not begun.
        """
        entry = _Pass(forward, pixels)
        with self._changed:
            if self._closed:
                raise Unavailable("the embedding worker is stopping")
            (self._queries if urgent else self._bulk).append(entry)
            self._changed.notify()
        return entry.result

    def close(self) -> None:
        """Cancels what has not begun and waits for what has."""
        with self._changed:
            self._closed = True
            left = [*self._queries, *self._bulk]
            self._queries.clear()
            self._bulk.clear()
            self._changed.notify_all()
        for entry in left:
            entry.result.cancel()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        self._prepare()
        while taken := self._take():
            live = [each for each in taken if each.result.set_running_or_notify_cancel()]
            if live:
                _forward_together(live)

    def _take(self) -> list[_Pass]:
        with self._changed:
            while not self._closed:
                if self._queries:
                    if (left := self._window_left()) <= 0:
                        return self._take_queries()
                    self._changed.wait(left)
                elif self._bulk:
                    return [self._bulk.popleft()]
                else:
                    self._changed.wait()
        return []

    def _window_left(self) -> float:
        if not self._query_window or len(self._queries) >= self._query_batch:
            return 0.0
        return self._queries[0].came + self._query_window - time.monotonic()

    def _take_queries(self) -> list[_Pass]:
        first = self._queries.popleft()
        taken: list[_Pass] = [first]
        other: list[_Pass] = []
        while self._queries and len(taken) < self._query_batch:
            entry = self._queries.popleft()
            (taken if entry.forward == first.forward else other).append(entry)
        self._queries.extendleft(reversed(other))
        return taken


def _forward_together(passes: list[_Pass]) -> None:
    try:
        pixels = [each.pixels for each in passes]
        embeddings, norms = passes[0].forward(
            pixels[0] if len(pixels) == 1 else np.concatenate(pixels)
        )
    except Exception as error:  # whoever waits must hear of it, and the lane must live on
        if len(passes) > 1:  # what stops one must not stop its neighbours
            for each in passes:
                _forward_together([each])
        else:
            passes[0].result.set_exception(error)
        return
    start = 0
    for each in passes:
        end = start + len(each.pixels)
        each.result.set_result((embeddings[start:end], norms[start:end]))
        start = end
