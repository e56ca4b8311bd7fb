"""What all messages carry, and how they are read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from services.core.domain.errors import InvalidArgument

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What all messages carry.

    `id` names one shard of one stage of one operation and is the same for every delivery;
    `attempt` counts how often the coordinator has given it to the workers.
    """

    QUEUE: ClassVar[str]
    TASK: ClassVar[str]

    id: str
    operation: str
    revision: int
    traceparent: str = ""
    attempt: int = 1
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Raises InvalidArgument (UNKNOWN_SCHEMA, BAD_MESSAGE)."""
        if body.get("schema") != SCHEMA:
            raise InvalidArgument(
                f"{cls.TASK}: schema {body.get('schema')!r} is not {SCHEMA}: "
                "start workers of the sender's version",
                reason="UNKNOWN_SCHEMA",
            )
        known = {each.name for each in fields(cls)}
        try:
            return cls(**{key: value for key, value in body.items() if key in known})
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"{cls.TASK}: {error}", reason="BAD_MESSAGE") from error
