"""Keeps the vector server running: a child that dies is started again on the same port."""

import threading
from pathlib import Path

import structlog

from services.core.domain.errors import Unavailable
from services.local.vector_server.process import VectorServer, start_vector_server

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 0.5


class VectorProcess:
    """A vector server on `port` of this machine for as long as this object is open."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._server: VectorServer = start_vector_server(data)
        self._closed = threading.Event()
        self.port = self._server.port
        self._watcher = threading.Thread(target=self._watch, name="vector-watch", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        """Process id of the server that runs now."""
        return self._server.process.pid

    def close(self) -> None:
        """Ends the server, flushed."""
        self._closed.set()
        self._watcher.join()
        self._server.stop()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            if self._server.alive():
                continue
            _log.error("vector_server.died", data=str(self._data))
            try:
                self._server = start_vector_server(self._data, self.port)
            except Unavailable as error:
                _log.error("vector_server.not_restarted", error=error.message)
