"""Where the time of an import goes: phases by the client's clock, tasks by the server's log,
processors' time by process."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import psutil

from shelflens.importing.progress import Progress
from tests.bench.figures import Figure
from tests.local_server import LocalServer

_ROLES = {"decode_child": "decoders", "vector_server": "vector server"}


@dataclass(slots=True)
class UploadClock:
    """Hears the progress of an import; the upload ends when the operation exists."""

    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.phase == "import" and not self.seconds:
            self.seconds = time.perf_counter() - self.began


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    operation: str
    began: float  # seconds since the epoch
    ended: float


def processor_seconds(server: LocalServer) -> dict[str, float]:
    """Seconds of processor time so far, by role; this process is the client."""
    spent: dict[str, float] = defaultdict(float)
    for process in server.tree():
        command = " ".join(process.cmdline())
        role = next((role for word, role in _ROLES.items() if word in command), "server")
        times = process.cpu_times()
        spent[role] += times.user + times.system
    spent["client"] = own_processor_seconds()
    return spent


def own_processor_seconds() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    times = psutil.Process().cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def itemised(server: LocalServer, operation: str, upload: float, wall: float) -> Iterator[Figure]:
    """Figures from the log of a server that ran with --log-level DEBUG.

    `upload` and `wall` are seconds of the client's clock; the stages overlap, the gaps do not.
    """
    tasks = [each for each in _tasks(server) if operation.endswith(each.operation)]
    embedding = [each for each in tasks if each.name == "embedding.bulk"]
    began, ended = min(each.began for each in embedding), max(each.ended for each in embedding)
    first = min(each.began for each in tasks)
    yield Figure("import: hash and upload", upload, "s")
    yield Figure("import: first task to first embedding", began - first, "s")
    yield Figure("import: embedding, first to last", ended - began, "s")
    last = max(each.ended for each in tasks)
    yield Figure("import: last embedding to last task", last - ended, "s")
    rest = wall - upload - (last - first)
    yield Figure("import: start of the operation, and hearing of its end", rest, "s")
    for name in ("ingestion.manifest", "ingestion.shard", "indexing.shard"):
        spent = sum(each.ended - each.began for each in tasks if each.name == name)
        yield Figure(f"import: all of {name}, beside the embedding", spent, "s")


def _tasks(server: LocalServer) -> Iterator[_Task]:
    for line in server.log.read_text(encoding="utf-8", errors="replace").splitlines():
        if '"task.done"' not in line:
            continue
        entry = json.loads(line)
        ended = datetime.fromisoformat(entry["timestamp"]).timestamp()
        began = ended - entry["elapsed_ms"] / 1e3
        yield _Task(entry["task"], entry["operation"], began, ended)
