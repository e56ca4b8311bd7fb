"""The child processes of a running server."""

import psutil

from tests.local_server import LocalServer

VECTOR_SERVER = "services.local.vector_server"
DECODER = "services.imaging.decode_child"


def children(server: LocalServer, module: str) -> list[psutil.Process]:
    """Those that run `python -m module`."""
    return [each for each in server.tree()[1:] if _runs(each, module)]


def vector_port(server: LocalServer) -> int:
    """Where the vector server listens."""
    (child,) = children(server, VECTOR_SERVER)
    (port,) = {
        each.laddr.port
        for each in child.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }
    return int(port)


def has_ended(process: psutil.Process) -> bool:
    """Gone, or a zombie that only waits for its new parent to look."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _runs(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline()
    except psutil.NoSuchProcess:  # it ended meanwhile, or is a zombie
        return False
