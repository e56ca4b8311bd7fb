"""Child processes that say when they are ready and never outlive their parent."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from services.core.domain.errors import Unavailable

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 1.0


def die_with_parent(parent_pid: int) -> None:
    """Called by a child first of all: SIGKILL for it as soon as process `parent_pid` is gone.

    On Linux the kernel does it, when the *thread* that made the child ends, so children must be
    made by a thread that stays (start_child sees to that). Elsewhere a thread looks every second.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent_pid,), daemon=True).start()
    if os.getppid() != parent_pid:  # it died before we asked
        os._exit(1)


def report_ready(ready_fd: int, line: str = "") -> None:
    """Called by a child that serves now; `line` tells the parent, for example, the port."""
    os.write(ready_fd, f"{line}\n".encode())
    os.close(ready_fd)


class Child:
    """A running child process, made by start_child. `line` is what it reported."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self.module = module
        self.line = ""
        self._arguments = arguments
        self._ready, self._child_end = os.pipe()
        self._made = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._own, name=f"owner of {module}", daemon=True).start()
        self._made.wait()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Raises Unavailable (CHILD_FAILED) when it could not be made at all."""
        if self._process is None:
            raise Unavailable(f"{self.module} could not be started", reason="CHILD_FAILED")
        return self._process

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, timeout: float = 10.0) -> None:
        """SIGTERM, then SIGKILL after `timeout` seconds; returns when the child is gone."""
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _own(self) -> None:
        # This thread makes the child and stays until its end, see die_with_parent.
        command = [sys.executable, "-m", self.module]
        command += ["--parent", str(os.getpid()), "--ready-fd", str(self._child_end)]
        try:
            # A session of its own: Ctrl-C reaches the parent, which stops children in its order.
            self._process = subprocess.Popen(
                [*command, *self._arguments], pass_fds=(self._child_end,), start_new_session=True
            )
        finally:
            os.close(self._child_end)
            self._made.set()
        self._process.wait()

    def await_ready(self, timeout: float) -> None:
        """Waits for report_ready. Raises Unavailable (CHILD_FAILED) and kills the child."""
        deadline = time.monotonic() + timeout
        received = b""
        with open(self._ready, "rb", buffering=0) as pipe:
            while not received.endswith(b"\n"):
                left = max(0.0, deadline - time.monotonic())
                piece = pipe.read(4096) if select.select([pipe], [], [], left)[0] else b""
                if not piece:
                    break
                received += piece
        if not received.endswith(b"\n"):
            self.process.kill()
            code = self.process.wait()
            raise Unavailable(
                f"{self.module} was not ready within {timeout:g} s (exit code {code}); "
                "its log says why",
                reason="CHILD_FAILED",
            )
        self.line = received.decode().strip()


def start_child(module: str, arguments: Sequence[str] = (), *, ready_timeout: float) -> Child:
    """Runs `python -m module --parent PID --ready-fd FD *arguments` and waits until it is ready.

    The module calls die_with_parent(PID) and report_ready(FD). `ready_timeout` in seconds.
    Raises Unavailable (CHILD_FAILED) when it ends or is not ready in time.
    """
    child = Child(module, arguments)
    child.await_ready(ready_timeout)
    return child


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_POLL_SECONDS)
    os._exit(1)
