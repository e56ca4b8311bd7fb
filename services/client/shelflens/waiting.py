"""How long to go on waiting for an operation: the rules, without the network."""

import time

from shelflens.errors import DeadlineExceeded, ShelflensError, Unavailable

STEP_S = 1.0  # how long the server waits before it answers with the progress so far
PATIENCE_S = 120.0  # how long a server that answered before may be away
_PAUSE_S = 0.2


class Patience:
    """Decides between waiting on and giving up, for one operation.

    A server that has answered once (`answered`: this client, before) may restart: it is given
    PATIENCE_S to come back.
    """

    def __init__(self, operation: str, timeout: float | None, *, answered: bool) -> None:
        self._operation = operation
        self._end = None if timeout is None else time.monotonic() + timeout
        self._answered_at = time.monotonic() if answered else None
        self._step_began = 0.0

    def next_step(self) -> float:
        """Seconds that the server may wait now. Raises DeadlineExceeded when time is up."""
        self._step_began = time.monotonic()
        if self._end is None:
            return STEP_S
        left = self._end - self._step_began
        if left <= 0:
            raise DeadlineExceeded(
                f"{self._operation} is still running; the operation was left alone",
                reason="WAIT_TIMED_OUT",
            )
        return min(STEP_S, left)

    def answered(self) -> float:
        """Notes an answer; returns the seconds to pause, in case the server did not wait."""
        self._answered_at = time.monotonic()
        return max(0.0, _PAUSE_S - (self._answered_at - self._step_began))

    def failed(self, error: ShelflensError) -> float:
        """Seconds to pause before the next try, or raises `error` when there is none."""
        passing = isinstance(error, Unavailable | DeadlineExceeded)
        if not passing or self._answered_at is None:
            raise error
        if time.monotonic() - self._answered_at > PATIENCE_S:
            raise error
        return STEP_S
