"""The error tree of the client.

ShelflensError
├── InvalidArgument      the request can never succeed as it is
│   └── InvalidManifest  a manifest that cannot be read (single bad rows are rejected one by one)
├── NotFound             the named resource does not exist
├── AlreadyExists        the name is taken
├── FailedPrecondition   the system is not in the state that the request needs
├── Aborted              a concurrent change won; read again and retry
├── ResourceExhausted    a limit or quota was hit; retry later
├── Unavailable          the server is not reachable or still starting; retry
├── DeadlineExceeded     the deadline passed
├── Cancelled            the caller or an operator cancelled
└── DataLoss             stored bytes do not match their digest

Anything else that the server answers is a plain ShelflensError. Every error carries `reason`
(UPPER_SNAKE, for programs), `message` (for people), `metadata` and `code` (the gRPC status name).
"""

from collections.abc import Mapping
from typing import ClassVar


class ShelflensError(Exception):
    """Base of the tree. `code` is the name of a gRPC status, `reason` an UPPER_SNAKE word."""

    default_code: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.reason = reason or self.code
        self.metadata: dict[str, str] = dict(metadata or {})

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class InvalidArgument(ShelflensError):
    """The request can never succeed as it is."""

    default_code = "INVALID_ARGUMENT"


class InvalidManifest(InvalidArgument):
    """A manifest that cannot be read at all."""

    def __init__(self, message: str, *, reason: str = "MANIFEST_UNREADABLE") -> None:
        super().__init__(message, reason=reason)


class NotFound(ShelflensError):
    """The named resource does not exist."""

    default_code = "NOT_FOUND"


class AlreadyExists(ShelflensError):
    """The name is taken."""

    default_code = "ALREADY_EXISTS"


class FailedPrecondition(ShelflensError):
    """The system is not in the state that the request needs."""

    default_code = "FAILED_PRECONDITION"


class Aborted(ShelflensError):
    """A concurrent change won; read again and retry."""

    default_code = "ABORTED"


class ResourceExhausted(ShelflensError):
    """A limit or quota was hit; retry later."""

    default_code = "RESOURCE_EXHAUSTED"


class Unavailable(ShelflensError):
    """The server is not reachable or still starting; retry."""

    default_code = "UNAVAILABLE"


class DeadlineExceeded(ShelflensError):
    """The deadline passed."""

    default_code = "DEADLINE_EXCEEDED"


class Cancelled(ShelflensError):
    """The caller or an operator cancelled."""

    default_code = "CANCELLED"


class DataLoss(ShelflensError):
    """Stored bytes do not match their digest."""

    default_code = "DATA_LOSS"


BY_CODE: dict[str, type[ShelflensError]] = {
    kind.default_code: kind
    for kind in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        DataLoss,
    )
}
