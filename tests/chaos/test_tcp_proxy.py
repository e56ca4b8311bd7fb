"""What the proxies of the chaos suite do to connections, seen from both ends."""

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.tcp_proxy import Proxies, TcpProxy
from tests.waiting import eventually


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            while data := self.request.recv(4096):
                self.server.pieces.append(len(data))  # type: ignore[attr-defined]
                self.request.sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.pieces: list[int] = []


@pytest.fixture(scope="module")
def echo() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: _Server) -> Iterator[TcpProxy]:
    with Proxies() as proxies:
        yield proxies.to(echo.server_address[1])


def test_bytes_pass_both_ways_and_ends_too(proxy: TcpProxy) -> None:
    data = bytes(range(256)) * 4096
    with _connect(proxy) as stream:
        sender = threading.Thread(target=_send_all, args=(stream, data))
        sender.start()
        assert _read_to_end(stream) == data
        sender.join()
    assert proxy.connections == 1


def test_a_cut_resets_connections_and_refuses_new_ones(proxy: TcpProxy) -> None:
    with _connect(proxy) as stream:
        assert _echoed(stream, b"before") == b"before"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            stream.recv(1)
    with pytest.raises(ConnectionRefusedError):
        _connect(proxy)
    proxy.heal()
    with _connect(proxy) as stream:
        assert _echoed(stream, b"after") == b"after"


def test_a_half_open_connection_takes_bytes_and_says_nothing(
    proxy: TcpProxy, echo: _Server
) -> None:
    with _connect(proxy) as old:
        assert _echoed(old, b"before") == b"before"
        seen = len(echo.pieces)
        proxy.half_open()
        with _connect(proxy) as new:
            for stream in (old, new):
                stream.settimeout(0.3)
                stream.sendall(b"into the void")
                with pytest.raises(TimeoutError):
                    stream.recv(1)
            assert len(echo.pieces) == seen
            proxy.heal()
            for stream in (old, new):  # what has lost bytes is not mended
                stream.settimeout(10)
                with pytest.raises(ConnectionResetError):
                    stream.recv(1)
    with _connect(proxy) as stream:
        assert _echoed(stream, b"after") == b"after"


def test_an_idle_connection_survives_a_half_open_time(proxy: TcpProxy) -> None:
    with _connect(proxy) as stream:
        assert _echoed(stream, b"before") == b"before"
        proxy.half_open()
        proxy.heal()
        assert _echoed(stream, b"after") == b"after"


def test_a_partition_loses_packets_and_connections_go_on_after_it(proxy: TcpProxy) -> None:
    with _connect(proxy) as stream:
        assert _echoed(stream, b"before") == b"before"
        proxy.partition()
        stream.settimeout(0.3)
        stream.sendall(b"during")
        with pytest.raises(TimeoutError):
            stream.recv(1)
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", proxy.port), 0.3)
        proxy.heal()
        stream.settimeout(10)
        assert stream.recv(6) == b"during"
        assert _echoed(stream, b"after") == b"after"


def test_an_end_notices_that_the_other_vanished_by_its_user_timeout(proxy: TcpProxy) -> None:
    with _connect(proxy) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
        assert _echoed(stream, b"before") == b"before"
        proxy.vanish()
        stream.sendall(b"into the void")
        with pytest.raises(OSError, match="timed out"):
            stream.recv(1)
    with _connect(proxy) as stream:
        assert _echoed(stream, b"after") == b"after"


def test_a_delay_holds_bytes_back_each_way(proxy: TcpProxy) -> None:
    with _connect(proxy) as stream:
        assert _echoed(stream, b"fast") == b"fast"
        proxy.delay(0.2)
        began = time.monotonic()
        assert _echoed(stream, b"slow") == b"slow"
        assert time.monotonic() - began >= 0.4
        proxy.heal()
        eventually(lambda: _seconds(stream) < 0.2, 10, "bytes are fast again")


def test_slices_arrive_one_by_one(proxy: TcpProxy, echo: _Server) -> None:
    with _connect(proxy) as stream:
        assert _echoed(stream, b"whole") == b"whole"
        proxy.slice()
        seen = len(echo.pieces)
        data = b"in many pieces " * 100
        assert _echoed(stream, data) == data
        assert len(echo.pieces) - seen > 10


def test_connections_after_broken_ones_are_served(proxy: TcpProxy) -> None:
    """A proxy that forgets to look at a socket would keep one of these waiting."""
    for _ in range(30):
        streams = [_connect(proxy) for _ in range(4)]
        for stream in streams:
            stream.settimeout(10)
            assert _echoed(stream, b"here") == b"here"
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for stream in streams:
            stream.close()


def test_a_dead_server_behind_the_proxy_ends_the_connection(echo: _Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = int(taken.getsockname()[1])
    with Proxies() as proxies:
        proxy = proxies.to(nobody)
        with pytest.raises(ConnectionResetError), _connect(proxy) as stream:
            stream.recv(1)


def _connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 10)


def _send_all(stream: socket.socket, data: bytes) -> None:
    stream.sendall(data)
    stream.shutdown(socket.SHUT_WR)


def _read_to_end(stream: socket.socket) -> bytes:
    return b"".join(iter(lambda: stream.recv(65536), b""))


def _echoed(stream: socket.socket, data: bytes) -> bytes:
    stream.sendall(data)
    back = b""
    while len(back) < len(data):
        back += stream.recv(65536)
    return back


def _seconds(stream: socket.socket) -> float:
    began = time.monotonic()
    _echoed(stream, b"probe")
    return time.monotonic() - began
