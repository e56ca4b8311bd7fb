"""What the customers of a seed did, and what was acknowledged: the log that is checked at the end.

Events carry the revision that the server gave them. One without a revision was not acknowledged:
it may have happened or not.
"""

import json
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.chaos.feeds import Version


@dataclass(frozen=True, slots=True)
class Write:
    """A single change of a product. `title` is None for a delete."""

    catalog: str
    sku: str
    title: str | None
    revision: int | None
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Upload:
    """An image of a product that nobody deletes."""

    catalog: str
    sku: str
    sha256: str
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Import:
    """`operation` is empty where the start was not acknowledged."""

    catalog: str
    version: Version
    prune: bool
    operation: str
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Search:
    """One search. `deadline` in seconds; `code` is empty for an answer."""

    began: float
    seconds: float
    deadline: float
    code: str
    detail: str = ""


class Journal:
    """Appends events, from any thread; keeps them in memory and, a line each, in `path`."""

    def __init__(self, path: Path) -> None:
        self.writes: list[Write] = []
        self.uploads: list[Upload] = []
        self.imports: list[Import] = []
        self.searches: list[Search] = []
        self._path = path
        self._lock = threading.Lock()

    def note(self, event: Write | Upload | Import | Search) -> None:
        with self._lock:
            match event:
                case Write():
                    self.writes.append(event)
                case Upload():
                    self.uploads.append(event)
                case Import():
                    self.imports.append(event)
                case Search():
                    self.searches.append(event)
        self.line(type(event).__name__.lower(), **_fields(event))

    def line(self, kind: str, **told: object) -> None:
        """A line for people who look for what happened."""
        text = json.dumps({"event": kind, "now": round(time.time(), 3), **told}, default=str)
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def _fields(event: Write | Upload | Import | Search) -> dict[str, object]:
    if isinstance(event, Import):
        return {"catalog": event.catalog, "version": event.version.name, "prune": event.prune,
                "operation": event.operation}  # fmt: skip
    return asdict(event)
