"""`shelflens serve` as a process of its own, for end-to-end tests and benchmarks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from shelflens import Client

PROGRAM = Path(sys.executable).with_name("shelflens")
_READY_SECONDS = 90.0


class LocalServer:
    """A server over `data`, started and killed as often as wanted. Logs go to `data`.log."""

    def __init__(self, data: Path, *options: str, environment: dict[str, str] | None = None):
        self.data = data
        self.log = data.with_suffix(".log")
        self._options = options
        self._environment = os.environ | (environment or {})
        self.process: subprocess.Popen[bytes] | None = None
        self.target = ""

    def start(self) -> float:
        """Starts it and returns the seconds until it answered."""
        began = time.monotonic()
        endpoint = self.data / "endpoint"
        endpoint.unlink(missing_ok=True)
        command = [str(PROGRAM), "serve", "--data", str(self.data), "--port", "0", *self._options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, env=self._environment)
        while not endpoint.exists():
            if self.process.poll() is not None or time.monotonic() - began > _READY_SECONDS:
                self.kill()
                raise AssertionError(f"the server did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.02)
        self.target = endpoint.read_text().strip()
        return time.monotonic() - began

    def kill(self) -> None:
        """kill -9 of the process, as a crash would be; its children must follow by themselves."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def client(self) -> Client:
        """A client of its own connection."""
        return Client(self.target)

    def tree(self) -> list[psutil.Process]:
        """The process and all its descendants."""
        assert self.process is not None
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
