"""Why a whole archive is refused, and how much of one is read at most."""

import errno
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shelflens.errors import InvalidManifest

MIB = 1 << 20


class BadArchive(InvalidManifest):
    """An archive that is refused as a whole; `reason` starts with ARCHIVE_."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may claim.

    `members`: how many there may be. `expanded_bytes`: of all members together, unpacked.
    `ratio`: unpacked to packed bytes, looked at from `ratio_from` unpacked bytes on.
    """

    members: int = 50_000_000
    expanded_bytes: int = 4 << 40
    ratio: int = 200
    ratio_from: int = 8 * MIB

    def check_members(self, count: int) -> None:
        """Raises BadArchive (ARCHIVE_TOO_MANY_MEMBERS)."""
        if count > self.members:
            raise BadArchive(
                "ARCHIVE_TOO_MANY_MEMBERS",
                f"more than {self.members} members; pack it into several archives",
            )

    def check_bytes(self, expanded: int, packed: int, what: str) -> None:
        """Raises BadArchive (ARCHIVE_TOO_LARGE, ARCHIVE_RATIO). `what` is named in the message."""
        if expanded > self.expanded_bytes:
            raise BadArchive(
                "ARCHIVE_TOO_LARGE",
                f"it unpacks to more than {self.expanded_bytes} bytes; "
                "pack it into several archives",
            )
        if expanded > self.ratio_from and expanded > self.ratio * max(1, packed):
            raise BadArchive(
                "ARCHIVE_RATIO",
                f"{what} unpacks to more than {self.ratio} times its size, as only archives made "
                "to harm do; pack the images anew",
            )


def nested(name: str) -> BadArchive:
    """The error for an archive within an archive."""
    return BadArchive(
        "ARCHIVE_NESTED", f"{name[:200]!r} is packed itself; unpack it and pack everything anew"
    )


@contextmanager
def temporary_space() -> Iterator[None]:
    """Around what writes temporary files. Raises BadArchive (ARCHIVE_NO_SPACE)."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise BadArchive(
            "ARCHIVE_NO_SPACE",
            f"no space in {tempfile.gettempdir()} ({error}); point TMPDIR to a larger disk",
        ) from None
