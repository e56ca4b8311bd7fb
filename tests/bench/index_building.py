"""Waiting until nothing is indexed beside a measurement."""

import time

import psutil

from tests.local_server import LocalServer

_QUIET_SECONDS = 5.0
_LONGEST_BUILD_SECONDS = 1_800.0


def wait_for_indexes(server: LocalServer) -> float:
    """As wait_for_index, of a running server."""
    own = [each for each in server.tree() if "services.local.vector_server" in each.cmdline()]
    return wait_for_index(own[0].pid)


def wait_for_index(vector_server: int) -> float:
    """Seconds until no builder has run for a while; one follows the other as points arrive."""
    began = last = time.monotonic()
    while time.monotonic() - last < _QUIET_SECONDS:
        if time.monotonic() - began > _LONGEST_BUILD_SECONDS:
            raise TimeoutError("the index was not built")
        if psutil.Process(vector_server).children():
            last = time.monotonic()
        time.sleep(0.5)
    return last - began
