"""The directory that holds all state of the local profile, one process at a time."""

import fcntl
import os
from pathlib import Path

from services.core.domain.errors import FailedPrecondition


class DataDirectory:
    """Paths below the data directory, and its lock.

    Raises FailedPrecondition (DATA_IN_USE) when another process serves from it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self.records = self.root / "records.db"
        self.objects = self.root / "objects"
        self.vectors = self.root / "vectors"
        self.models = self.root / "models"  # weights, taken out of the objects
        self.endpoint = self.root / "endpoint"
        self._lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise FailedPrecondition(
                f"another process serves from {self.root}; stop it, or choose another --data",
                reason="DATA_IN_USE",
            ) from error

    def announce(self, address: str) -> None:
        """Writes the file `endpoint`: whoever starts the process may read where it listens."""
        fresh = self.endpoint.with_suffix(".new")
        fresh.write_text(address + "\n")
        fresh.replace(self.endpoint)

    def close(self) -> None:
        """Unlocks it."""
        self.endpoint.unlink(missing_ok=True)
        os.close(self._lock)
