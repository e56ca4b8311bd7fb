"""One process of a service of ours, as an operator would run it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.waiting import eventually

READY_SECONDS = 120.0


class Service:
    """`python -m services.NAME ARGUMENTS` with `environment` and nothing else of ours.

    `ready` tells whether it works; without it, whether `heartbeat` was touched since the start.
    Logs go to `log`.
    """

    def __init__(
        self,
        name: str,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        heartbeat: Path,
        log: Path,
        ready: Callable[[], bool] | None = None,
    ) -> None:
        self.name = name
        self.heartbeat = heartbeat
        self._ready = ready or heartbeat.exists
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [sys.executable, "-m", f"services.{name}", *arguments]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SHELFLENS_")}
        self._environment = clean | dict(environment)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, launcher: tuple[str, ...] = ()) -> None:
        """Returns at once; see wait_ready. A `launcher` is a module, with its arguments, that runs
        the service."""
        self.heartbeat.unlink(missing_ok=True)
        command = [*self._command[:2], *launcher, *self._command[2:]]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stderr=log, env=self._environment
            )

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        def ready() -> bool:
            assert self.alive, f"{self.name} has ended:\n{self.tail()}"
            return self._ready()

        try:
            eventually(ready, seconds, f"{self.name} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def begin_stop(self) -> None:
        """SIGTERM, without waiting."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def stop(self, seconds: float = 90.0) -> int:
        """SIGTERM; returns the exit code. Kills it, and fails, when it does not end in time."""
        self.begin_stop()
        return self.wait_stopped(seconds)

    def wait_stopped(self, seconds: float = 90.0) -> int:
        """The exit code after a begin_stop: a second signal would end it at once."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} did not stop in {seconds:g} s:\n{self.tail()}"
            ) from None

    def suspend(self, seconds: float) -> None:
        """SIGSTOP for so long."""
        os.kill(self.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGCONT)

    def tail(self, size: int = 4_000) -> str:
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""
