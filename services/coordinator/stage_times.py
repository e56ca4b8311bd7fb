"""Where the time of an operation went, by stage."""

from collections.abc import Callable, Mapping
from typing import Any

from services.core.domain.operations import Operation
from services.core.messages import (
    EmbedShard,
    EmbedSingle,
    IndexShard,
    IngestManifest,
    IngestShard,
    Report,
)

# Task -> its stage, and how many things one report of it is about.
_STAGES: dict[str, tuple[str, Callable[[Mapping[str, Any]], int]]] = {
    IngestManifest.TASK: ("manifest", lambda outcome: outcome["rows"]),
    IngestShard.TASK: ("rows", lambda outcome: outcome["rows_read"]),
    EmbedShard.TASK: ("embed", lambda outcome: len(outcome["sha256s"])),
    EmbedSingle.TASK: ("embed", lambda outcome: len(outcome["sha256s"])),
    IndexShard.TASK: ("index", lambda outcome: outcome["points"]),
}


def note_time(operation: Operation, report: Report) -> None:
    """Adds one report to `operation.result["stages"]`: stage -> [tasks, items, milliseconds]."""
    if report.task not in _STAGES:
        return
    stage, count = _STAGES[report.task]
    items = 0 if report.failure else count(report.outcome)
    stages = dict(operation.result.get("stages", {}))
    tasks, before, milliseconds = stages.get(stage, (0, 0, 0.0))
    stages[stage] = [tasks + 1, before + items, milliseconds + report.elapsed_ms]
    operation.result = operation.result | {"stages": stages}
