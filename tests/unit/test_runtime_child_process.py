"""Children say when they are ready, stop when told, and die with their parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from services.core.domain.errors import Unavailable
from services.core.runtime.child_process import Child, start_child

CHILD = """
import argparse, signal, sys, threading, time
from services.core.runtime.child_process import die_with_parent, report_ready
parser = argparse.ArgumentParser()
parser.add_argument("--parent", type=int)
parser.add_argument("--ready-fd", type=int)
parser.add_argument("mood")
given = parser.parse_args()
die_with_parent(given.parent)
if given.mood == "broken":
    sys.exit(3)
if given.mood == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if given.mood != "silent":
    report_ready(given.ready_fd, "port 7 " + given.mood)
time.sleep(600)
"""
PARENT = """
import sys, time
from services.core.runtime.child_process import start_child
print(start_child("toy_child", ["calm"], ready_timeout=20).process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def toy_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_child.py").write_text(CHILD)
    here = os.pathsep.join([str(tmp_path), os.getcwd()])
    monkeypatch.setenv("PYTHONPATH", here)


def gone(pid: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_a_child_reports_a_line_and_stops_when_told() -> None:
    child = start_child("toy_child", ["calm"], ready_timeout=20)
    assert child.line == "port 7 calm"
    assert child.alive
    child.stop()
    assert not child.alive
    assert child.process.returncode == -signal.SIGTERM


def test_a_stubborn_child_is_killed() -> None:
    child = start_child("toy_child", ["stubborn"], ready_timeout=20)
    child.stop(timeout=0.1)
    assert child.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("mood", "seconds"), [("broken", 20.0), ("silent", 0.5)])
def test_a_child_that_is_not_ready_is_unavailable_and_gone(mood: str, seconds: float) -> None:
    with pytest.raises(Unavailable) as caught:
        start_child("toy_child", [mood], ready_timeout=seconds)
    assert caught.value.reason == "CHILD_FAILED"
    assert not any("toy_child" in " ".join(each.cmdline()) for each in psutil.Process().children())


def test_a_child_outlives_the_thread_that_asked_for_it() -> None:
    children: list[Child] = []
    asking = threading.Thread(
        target=lambda: children.append(start_child("toy_child", ["calm"], ready_timeout=20))
    )
    asking.start()
    asking.join()
    with pytest.raises(subprocess.TimeoutExpired):
        children[0].process.wait(0.3)
    children[0].stop()


def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.communicate()
    assert gone(pid)
