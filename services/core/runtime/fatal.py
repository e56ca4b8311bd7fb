"""Errors after which a process can do no more work."""

from services.core.domain.errors import Unavailable


class FatalWorkerError(Unavailable):
    """This process is broken and another one would do: a worker that sees it stops.

    Its messages go back to their queue and it exits, so that the orchestrator starts a new one.
    """

    default_reason = "WORKER_BROKEN"
