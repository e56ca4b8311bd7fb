"""The coordinator's clock: calls its tick until it is closed."""

import threading

import structlog

from services.coordinator.handlers import Coordinator
from services.core.domain.errors import ShelflensError

_log = structlog.get_logger(__name__)


class Clockwork:
    """Ticks every so many `seconds` in a thread of its own; errors are logged and passed over."""

    def __init__(self, coordinator: Coordinator, seconds: float) -> None:
        self._coordinator = coordinator
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coordinator-tick", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more ticks; returns at once."""
        self._stopped.set()

    def close(self, timeout: float) -> None:
        """Waits up to `timeout` seconds for the tick in hand."""
        self._stopped.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            try:
                self._coordinator.tick()
            except ShelflensError as error:
                _log.warning("coordinator.tick_failed", reason=error.reason, error=error.message)
            except Exception:
                _log.exception("coordinator.tick_failed")
            if self._stopped.wait(self._seconds):
                return
