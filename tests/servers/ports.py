"""Free ports, and waiting until somebody listens on one."""

import socket
import subprocess
import time
from pathlib import Path


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", log: Path, seconds: float) -> None:
    """Returns when `process` accepts connections; fails with the end of its log otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            ended = process.poll() is not None
            if ended or time.monotonic() > deadline:
                text = log.read_text(errors="replace")[-3000:] if log.exists() else ""
                state = f"ended with {process.returncode}" if ended else "does not listen"
                raise AssertionError(f"{process.args!r} {state}:\n{text}") from None
            time.sleep(0.05)
