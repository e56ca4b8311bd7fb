"""What every service's `__main__` does first: settings, logs, and waiting for its servers."""

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from services.core.domain.errors import InvalidArgument, ShelflensError, Unavailable
from services.core.runtime.logs import configure_logs
from services.core.runtime.service_settings import ServiceSettings
from services.core.runtime.settings import read_settings

_log = structlog.get_logger(__name__)
_FIRST_DELAY = 0.2
_M_ARENA_MAX = -8  # of malloc.h
_ARENAS = 2
_LONGEST_DELAY = 5.0
# Celery takes these over what it is told.
_CELERY_OVERRIDES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")

S = TypeVar("S", bound=ServiceSettings)
T = TypeVar("T")


def run_service(kind: type[S], serve: Callable[[S], int]) -> int:
    """Reads the settings, configures the logs and calls `serve`; returns the exit code.

    Errors of the domain end in one line on stderr and code 1: wrong settings with the names of the
    variables, and whatever makes a start impossible.
    """
    try:
        settings = read_settings(kind)
        _refuse_overrides()
        _share_arenas()
        configure_logs(settings.log_level)
        return serve(settings)
    except ShelflensError as error:
        sys.stderr.write(f"error: {error.reason}: {error.message}\n")
        return 1


def wait_for(
    server: str, attempt: Callable[[], T], *, sleep: Callable[[float], None] = time.sleep
) -> T:
    """The result of `attempt`, repeated with backoff for as long as it raises Unavailable.

    A cluster starts its parts in any order; the log names the `server` that is waited for. All
    other errors pass.
    """
    delay = _FIRST_DELAY
    while True:
        try:
            return attempt()
        except Unavailable as error:
            _log.warning("start.waiting", server=server, delay=delay, error=error.message)
            sleep(delay)
            delay = min(_LONGEST_DELAY, 2 * delay)


def _refuse_overrides() -> None:
    found = [name for name in _CELERY_OVERRIDES if name in os.environ]
    if found:
        raise InvalidArgument(
            f"wrong settings:\n  {', '.join(found)} would silently replace SHELFLENS_BROKER_URL: "
            "unset it",
            reason="BAD_SETTINGS",
        )


def _share_arenas() -> None:
    """glibc gives every thread a heap of its own, whose holes only that thread can fill: workers
    would grow for a long time. Elsewhere this does nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
