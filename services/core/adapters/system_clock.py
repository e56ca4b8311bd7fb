"""The computer's clock."""

from datetime import UTC, datetime

from services.core.ports import Clock


class SystemClock(Clock):
    """UTC now."""

    def now(self) -> datetime:
        return datetime.now(UTC)
