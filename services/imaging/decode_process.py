"""The parent's end of one decoding child."""

import json
import mmap
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from services.core.domain.errors import InvalidImage, Unavailable
from services.imaging.decode_child import (
    PIXELS,
    READY,
    REPLY,
    ChildSettings,
    pack_request,
)
from services.imaging.limits import ImageLimits
from services.imaging.resizing import MOST_ROW_BYTES, PixelRecipe, Pixels
from services.imaging.verdicts import Verdict, refuse

_SOURCE_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0
_PATIENCE = 6

# Nothing but this: what decodes bytes from outside holds no secrets of ours. One BLAS thread and
# one arena, because stacks and arenas would count against the memory limit. With thresholds of our
# own large pictures go back to the system at once; glibc would raise them and keep some.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "8388608",
    "MALLOC_TRIM_THRESHOLD_": "16777216",
}


class ChildCrashed(Exception):
    """The child died instead of answering."""


class DecodeProcess:
    """One child, one image at a time. Used by the thread that made it, which must outlive it:
    the kernel kills the child when that very thread ends (PR_SET_PDEATHSIG).

    Raises Unavailable when the child does not start.
    """

    def __init__(self, limits: ImageLimits, memory_limit: int, niceness: int) -> None:
        self._max_bytes = limits.max_bytes
        memory = os.memfd_create("shelflens-decode", os.MFD_CLOEXEC)
        os.ftruncate(memory, limits.max_bytes + MOST_ROW_BYTES)
        self._slot = mmap.mmap(memory, limits.max_bytes + MOST_ROW_BYTES)
        self._channel, theirs = socket.socketpair()
        theirs.setblocking(True)  # libraries set a default timeout for the process now and then
        settings = ChildSettings(
            parent=os.getpid(),
            socket=theirs.fileno(),
            memory=memory,
            memory_limit=memory_limit,
            niceness=niceness,
            **asdict(limits),
        )
        try:
            self._process = _spawn(settings)
            # clock_getcpuclockid(3), which Python lacks: the processor time of that process.
            self._clock = (~self._process.pid << 3) | 2
        finally:
            theirs.close()
            os.close(memory)
        try:
            self._receive(_START_SECONDS, READY)
        except (ChildCrashed, TimeoutError) as error:
            self.close()
            raise Unavailable("a decoding process does not start") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def decode(self, data: bytes, recipe: PixelRecipe, cost: int, seconds: float) -> Pixels:
        """Pixels uint8 [recipe.row_bytes]. Raises InvalidImage, ChildCrashed, TimeoutError.

        `cost` is the memory in bytes that the header asks for; the child gets a little more.

        `seconds` are of processor time, so that a busy machine refuses no good image; a child that
        gets none, or asks for none, has _PATIENCE times as long by the clock.
        """
        if len(data) > self._max_bytes:  # it would not fit into the slot
            raise refuse(Verdict.IMAGE_TOO_LARGE, f"{len(data)} bytes, limit {self._max_bytes}")
        self._slot[: len(data)] = data
        try:
            self._channel.sendall(pack_request(len(data), cost, recipe))
        except OSError as error:
            raise ChildCrashed from error
        kind, length = self._wait(seconds)
        start = self._max_bytes
        if kind != PIXELS:
            raise _refusal(self._slot[start : start + length])
        if length != recipe.row_bytes:
            raise ChildCrashed
        return np.frombuffer(self._slot, np.uint8, length, start).copy()

    def close(self) -> None:
        """Kills the child and frees what it held; may be called again."""
        self._process.kill()
        self._process.wait()
        self._channel.close()
        with suppress(BufferError):
            self._slot.close()

    def _wait(self, seconds: float) -> tuple[int, int]:
        before = self._processor_seconds()
        for _ in range(_PATIENCE - 1):
            with suppress(TimeoutError):
                return self._receive(seconds)
            if self._processor_seconds() - before >= 0.9 * seconds:  # it needs a little to start
                raise TimeoutError
        return self._receive(seconds)

    def _processor_seconds(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError as error:
            raise ChildCrashed from error

    def _receive(self, seconds: float, wanted: int | None = None) -> tuple[int, int]:
        self._channel.settimeout(seconds)
        try:
            reply = self._channel.recv(REPLY.size, socket.MSG_WAITALL)
        except ConnectionError as error:
            raise ChildCrashed from error
        if len(reply) < REPLY.size:
            raise ChildCrashed
        kind, length = REPLY.unpack(reply)
        if length > MOST_ROW_BYTES or (wanted is not None and kind != wanted):
            raise ChildCrashed
        return kind, length


def _spawn(settings: ChildSettings) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "services.imaging.decode_child", json.dumps(asdict(settings))],
        env={"PYTHONPATH": str(_SOURCE_ROOT), **_ENVIRONMENT},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(settings.socket, settings.memory),
        start_new_session=True,  # Ctrl-C is for the parent
    )


def _refusal(answer: bytes) -> InvalidImage:
    try:
        reason, message = json.loads(answer)
        return InvalidImage(str(message)[:300], reason=Verdict(reason).value)
    except (ValueError, TypeError):  # a child that decoded hostile bytes may answer anything
        return refuse(Verdict.IMAGE_DECODE_CRASHED)
