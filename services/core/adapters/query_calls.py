"""The queries that wait for an answer, shared by the callers' event loops and the broker thread."""

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from services.core.domain.errors import ResourceExhausted, ShelflensError

Answer = bytes | ShelflensError


@dataclass(slots=True, eq=False)
class Call:
    """One query. `deadline` is of time.monotonic; `published` counts how often it was sent."""

    id: str
    body: bytes
    headers: dict[str, Any]
    deadline: float
    future: "asyncio.Future[Answer]"
    begun: float = field(default_factory=time.monotonic)
    published: int = 0

    def settle(self, answer: Answer) -> None:
        """From any thread. What comes second, or after the caller has left, is dropped."""
        with suppress(RuntimeError):  # the caller's loop is closed
            self.future.get_loop().call_soon_threadsafe(self._set, answer)

    def _set(self, answer: Answer) -> None:
        if not self.future.done():
            self.future.set_result(answer)


class Calls:
    """At most `limit` calls by id. Safe to use from many threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._calls: dict[str, Call] = {}
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Raises ResourceExhausted (TOO_MANY_QUERIES)."""
        with self._lock:
            if len(self._calls) >= self._limit:
                raise ResourceExhausted(
                    f"{self._limit} query photos wait to be embedded: retry later, or start more "
                    "embedding workers (python -m services.embedding --queue query)",
                    reason="TOO_MANY_QUERIES",
                )
            self._calls[call.id] = call

    def pop(self, id_: str) -> Call | None:
        """Takes a call out; None when nobody waits for it any more."""
        with self._lock:
            return self._calls.pop(id_, None)

    def settle(self, id_: str, answer: Answer) -> None:
        """Answers the call, if somebody still waits for it."""
        if (call := self.pop(id_)) is not None:
            call.settle(answer)

    def waiting(self) -> list[Call]:
        """All that wait now."""
        with self._lock:
            return list(self._calls.values())

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._calls


class Outgoing:
    """Calls on their way to the broker thread, which waits on the socket `woken`."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self._wake, self.woken = socket.socketpair()
        self._wake.setblocking(False)
        self.woken.setblocking(False)

    def put(self, call: Call) -> None:
        """From any thread."""
        self._calls.append(call)
        self.rouse()

    def rouse(self) -> None:
        """Lets `woken` have something to read."""
        with suppress(BlockingIOError):  # full: it has
            self._wake.send(b"\0")

    def take(self) -> Iterator[Call]:
        """All calls there are; `woken` is empty afterwards unless more come."""
        with suppress(BlockingIOError):
            while len(self.woken.recv(4096)) == 4096:
                pass
        while self._calls:
            yield self._calls.popleft()

    def close(self) -> None:
        self._wake.close()
        self.woken.close()
