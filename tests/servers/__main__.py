"""`make cluster`: the cluster profile on this machine, to try it, until Ctrl-C."""

import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.servers.cluster import Cluster

_TURN_SECONDS = 0.5


def main() -> int:
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="shelflens-cluster-") as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start()
            _say("every service runs; logs and state are in " + folder)
            _say(f"export SHELFLENS_TARGET={cluster.target}")
            _say("Ctrl-C ends all of it and removes its state")
            while not stop.wait(_TURN_SECONDS):  # the kernel may give a signal to another thread
                pass
            cluster.stop()
        finally:
            cluster.close()
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
