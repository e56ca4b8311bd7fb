"""The project's vector server as a process that can be killed and started again."""

from pathlib import Path
from types import TracebackType
from typing import Self

from services.local.vector_server.process import VectorServer, start_vector_server


class VectorServerProcess:
    """Speaks Qdrant's gRPC API on `port` of the loopback address, with its state in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._server: VectorServer | None = None

    def start(self) -> None:
        """Returns when it answers; a server that was killed comes back on its port."""
        self._server = start_vector_server(self.folder, self.port)
        self.port = self._server.port

    def kill(self) -> None:
        """kill -9."""
        if self._server is not None:
            self._server.process.kill()
            self._server.process.wait(30)

    def stop(self) -> None:
        if self._server is not None and self._server.alive():
            self._server.stop()

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
