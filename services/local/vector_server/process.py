"""Starting the vector server as a child process."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from services.core.runtime.child_process import Child, start_child

_READY_SECONDS = 120.0  # a start applies write-ahead logs: seconds for large catalogues


@dataclass(frozen=True, slots=True)
class VectorServer:
    """A running server on 127.0.0.1:`port`. Restart a dead one with the same data and port."""

    port: int
    child: Child

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.child.process

    def alive(self) -> bool:
        return self.child.alive

    def stop(self, timeout: float = 30.0) -> None:
        """Ends it after running calls, flushed; kills it after `timeout` seconds."""
        self.child.stop(timeout)


def start_vector_server(
    data: Path, port: int = 0, *, options: tuple[str, ...] = ()
) -> VectorServer:
    """Starts the server on the directory `data` and returns when it answers.

    `port` 0 picks a free one; to restart a server, pass the port it had. `options` are further
    arguments, see settings.py. Raises Unavailable (CHILD_FAILED).
    """
    arguments = ["--data", str(data), "--port", str(port), *options]
    child = start_child("services.local.vector_server", arguments, ready_timeout=_READY_SECONDS)
    return VectorServer(int(child.line), child)
