"""The error tree.

ShelflensError
├── InvalidArgument      the request can never succeed as it is
│   ├── InvalidImage     bytes that are no usable picture (reasons in services.imaging.verdicts)
│   └── InvalidManifest  a manifest that cannot be read
├── NotFound             the named resource does not exist
├── AlreadyExists        the name is taken
├── FailedPrecondition   the system is not in the state that the request needs
├── Aborted              a concurrent change won; read again and retry
├── ResourceExhausted    a limit or quota was hit; retry later
├── Unavailable          a dependency is down or starting; retry
├── DeadlineExceeded     the caller's deadline passed
├── Cancelled            the caller or an operator cancelled
└── DataLoss             stored bytes do not match their digest

Every error carries `reason` (UPPER_SNAKE, for programs), a message that names the thing and
says what to do (for people), and `metadata` (string to string, for both).
"""

from collections.abc import Mapping


class ShelflensError(Exception):
    """Base of the tree. `reason` is UPPER_SNAKE; `metadata` holds names and values as strings."""

    default_reason = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata: dict[str, str] = dict(metadata or {})

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries (decode children), with their reason.
        return (_rebuild, (type(self), self.message, self.reason, self.metadata))


def _rebuild(
    kind: type[ShelflensError], message: str, reason: str, metadata: dict[str, str]
) -> ShelflensError:
    return kind(message, reason=reason, metadata=metadata)


class InvalidArgument(ShelflensError):
    """The request can never succeed as it is. `field` is the path of the offending field."""

    default_reason = "INVALID_ARGUMENT"

    @classmethod
    def field(cls, field: str, problem: str, *, reason: str | None = None) -> "InvalidArgument":
        return cls(f"{field}: {problem}", reason=reason, metadata={"field": field})


class InvalidImage(InvalidArgument):
    """Bytes that are no usable picture."""

    default_reason = "IMAGE_UNDECODABLE"


class InvalidManifest(InvalidArgument):
    """A manifest that cannot be read at all (single bad rows are rejected one by one)."""

    default_reason = "MANIFEST_UNREADABLE"


class NotFound(ShelflensError):
    """The named resource does not exist."""

    default_reason = "NOT_FOUND"


class AlreadyExists(ShelflensError):
    """The name is taken."""

    default_reason = "ALREADY_EXISTS"


class FailedPrecondition(ShelflensError):
    """The system is not in the state that the request needs."""

    default_reason = "FAILED_PRECONDITION"


class Aborted(ShelflensError):
    """A concurrent change won; read again and retry."""

    default_reason = "ABORTED"


class ResourceExhausted(ShelflensError):
    """A limit or quota was hit; retry later."""

    default_reason = "RESOURCE_EXHAUSTED"


class Unavailable(ShelflensError):
    """A dependency is down or starting; retry."""

    default_reason = "UNAVAILABLE"


class DeadlineExceeded(ShelflensError):
    """The caller's deadline passed."""

    default_reason = "DEADLINE_EXCEEDED"


class Cancelled(ShelflensError):
    """The caller or an operator cancelled."""

    default_reason = "CANCELLED"


class DataLoss(ShelflensError):
    """Stored bytes do not match their digest."""

    default_reason = "DIGEST_MISMATCH"
