"""What is wanted: the images of one shard, each with how far it has got."""

import threading
from dataclasses import dataclass, field

from services.ingestion.fetching.url_memory import Remembered
from services.ingestion.fetching.urls import Url


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one address.

    `sha256` names the stored image, empty when there is none. `reason` says why it could not be
    fetched; with a `sha256` beside it, the copy of an earlier import stays in use. `downloaded`:
    whether its bytes came over the network just now.
    """

    sha256: str
    reason: str = ""
    downloaded: bool = False


class Batch:
    """The images of one shard. `deadline` in monotonic seconds."""

    def __init__(self, count: int, deadline: float) -> None:
        self.deadline = deadline
        self.given_up: set[str] = set()  # hosts
        self.results: dict[Url, Fetched] = {}
        self._count = count
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._lock = threading.Lock()

    @property
    def failed(self) -> bool:
        return self._error is not None

    def settle(self, url: Url, fetched: Fetched) -> None:
        """The end of one image."""
        with self._lock:
            self.results[url] = fetched
            if len(self.results) >= self._count:
                self._done.set()

    def fail(self, error: BaseException) -> None:
        """The end of all: it is not the images' fault."""
        with self._lock:
            self._error = self._error or error
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within `seconds`. Raises what `fail` was told."""
        ended = self._done.wait(seconds)
        if self._error is not None:
            raise self._error
        return ended


@dataclass(slots=True, eq=False)
class Job:
    """One image: `url` is asked for next, on the way from `first`."""

    first: Url
    url: Url
    batch: Batch
    deadline: float = 0.0  # monotonic seconds, from its first request on
    failures: int = 0
    visited: set[Url] = field(default_factory=set)
    known: Remembered | None = None
