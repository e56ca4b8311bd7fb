"""The records of dead letters: messages that no worker took, kept for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

# A longer body lies in the object store; the record has its first bytes.
WHOLE_BODY_BYTES = 256 << 10
PART_BYTES = 16 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that ended in the dead queue.

    `message_digest` is the same for every delivery of it. `message` is the id within its
    operation; both are empty where the body is none of our messages. `body` has PART_BYTES of one
    that is longer than WHOLE_BODY_BYTES; `size` is that of the whole. `headers` and `properties`
    are JSON, as the message carried them.
    """

    id: str
    message_digest: str
    queue: str
    routing_key: str
    task: str
    operation: str
    message: str
    reason: str
    detail: str
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    body: bytes
    size: int
    deaths: int
    create_time: datetime

    @property
    def whole(self) -> bool:
        """Whether `body` is all of it."""
        return len(self.body) == self.size


class DeadLetterRecords(Protocol):
    """Dead letters, newest first."""

    def add(self, letter: DeadLetter) -> bool:
        """False when a letter with this digest is there already; it stays as it is."""

    def get(self, letter: str) -> DeadLetter:
        """Raises NotFound (DEAD_LETTER_NOT_FOUND)."""

    def page(self, after: str, limit: int, reason: str = "", queue: str = "") -> list[DeadLetter]:
        """Those beyond the id `after`; empty filters match all. Bodies are left out."""

    def remove(self, letters: Sequence[str]) -> None:
        """Forgets letters by id; they may be gone already."""

    def trim(self, most: int) -> list[DeadLetter]:
        """Forgets the oldest beyond `most` letters, and returns them without their bodies."""

    def count_of(self, message: str) -> int:
        """How many letters this message of an operation has become."""
