"""What the figures were measured on."""

import os
import platform
from importlib.metadata import version

import psutil


def describe_machine() -> str:
    """One line: processor, cores, memory, Python and torch."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, torch {version('torch')}"
    )


def load() -> str:
    """Load of the machine over the last minute, as `uptime` shows it."""
    return f"{os.getloadavg()[0]:.1f}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # no Linux
    return platform.processor() or platform.machine()
