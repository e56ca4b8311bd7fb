"""Messages that no worker took."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that no worker took; `reason` is UPPER_SNAKE, see docs/dead-letters.md.

    `headers` and `body` come with `get_dead_letter` alone; of a body beyond 256 KiB, whose length
    is `size_bytes`, only the first bytes.
    """

    name: str
    queue: str
    routing_key: str
    task: str
    operation: str
    reason: str
    detail: str
    content_type: str
    headers: Mapping[str, str]
    body: bytes
    size_bytes: int
    death_count: int
    create_time: datetime | None
