"""TCP proxies on the loopback address whose faults are switched while connections run.

All proxies share one thread. Two pieces of the system that should be torn apart talk through a
proxy of their own, so that every pair can fail by itself.

A half-open proxy still acknowledges what it swallows, as a balancer with a dead backend does. Where
packets are to get lost as in a network, the kernel drops them before TCP sees them: the other end
gets no acknowledgement either, and its keepalive and user timeouts work as they would.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self, TypeVar

from tests.chaos.packet_loss import drop_packets
from tests.chaos.proxy_tasks import all_or_none, end_all
from tests.servers.ports import free_port

_CHUNK = 64 << 10
_PIECES = 64  # chunks that wait in one direction of a connection: 4 MiB at most
_SLICED_BYTES = 64  # of a chunk that go one by one; all of a picture would take minutes
_SLICE_SECONDS = 0.0005  # between two of these, or the receiver gets them together
_WAIT_SECONDS = 10.0
_BACKLOG = 128
T = TypeVar("T")


class Mode(StrEnum):
    """What a proxy does to bytes."""

    PASS = "pass"
    CUT = "cut"
    HALF_OPEN = "half-open"
    PARTITION = "partition"
    DELAY = "delay"
    SLICES = "slices"


class Proxies:
    """Proxies and the thread that they share, until the block ends."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True)
        self._opened: list[TcpProxy] = []

    def to(self, port: int) -> "TcpProxy":
        """A proxy in front of 127.0.0.1:`port`, where nobody needs to listen yet."""
        proxy = TcpProxy(self, port)
        self._opened.append(proxy)
        return proxy

    def call(self, function: Callable[[], T]) -> T:
        """Runs `function` on the thread of the proxies and returns what it returns."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(_WAIT_SECONDS)

    def heal(self) -> None:
        """All of them."""
        for each in self._opened:
            each.heal()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self._opened:
            self.call(each.close)
        asyncio.run_coroutine_threadsafe(end_all(), self.loop).result(_WAIT_SECONDS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_WAIT_SECONDS)
        self.loop.close()


class TcpProxy:
    """Passes bytes between its own `port` and a `target` port. Made by Proxies.to.

    `connections` counts those that were accepted.
    """

    def __init__(self, proxies: Proxies, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.connections = 0
        self.mode = Mode.PASS
        self.seconds = 0.0
        self._proxies = proxies
        self._links: set[_Link] = set()
        # An explicit port stays with the socket while it does not listen: nobody else gets it.
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.setblocking(False)
        self._listens = False
        proxies.call(self._listen)

    def cut(self) -> None:
        """Resets every connection and refuses new ones."""
        self._switch(Mode.CUT)

    def half_open(self) -> None:
        """Takes connections and bytes, passes nothing and ends nothing."""
        self._switch(Mode.HALF_OPEN)

    def partition(self) -> None:
        """Every packet gets lost; connections go on when it heals, if both ends have waited."""
        self._switch(Mode.PARTITION)

    def vanish(self) -> None:
        """The connections that there are get lost for good, without a word; new ones work."""

        def vanish() -> None:
            for each in list(self._links):
                each.drop_packets(True)

        self._proxies.call(vanish)

    def delay(self, seconds: float = 0.5) -> None:
        """Every byte arrives so much later, each way."""
        self._switch(Mode.DELAY, seconds)

    def slice(self) -> None:
        """The first bytes of whatever is sent arrive one by one."""
        self._switch(Mode.SLICES)

    def heal(self) -> None:
        """Passes all again. Connections that have lost bytes are reset: nothing can mend them."""
        self._switch(Mode.PASS)

    def close(self) -> None:
        """On the thread of the proxies: ends it and its connections."""
        self._refuse()
        self._listener.close()
        for each in list(self._links):
            each.reset()

    def forget(self, link: "_Link") -> None:
        self._links.discard(link)

    def _switch(self, mode: Mode, seconds: float = 0.0) -> None:
        def switch() -> None:
            if Mode.PARTITION in (mode, self.mode):
                self._partition(mode is Mode.PARTITION)
            self.mode, self.seconds = mode, seconds
            if mode is Mode.CUT:
                self._refuse()
            else:
                self._listen()
            for each in list(self._links):
                if mode is Mode.CUT or (mode is not Mode.HALF_OPEN and each.lost):
                    each.reset()

        self._proxies.call(switch)

    def _partition(self, begins: bool) -> None:
        drop_packets(self._listener, begins)
        for each in self._links:
            each.drop_packets(begins)

    def _listen(self) -> None:
        if not self._listens:
            self._listener.listen(_BACKLOG)
            self._proxies.loop.add_reader(self._listener, self._accept)
            self._listens = True

    def _refuse(self) -> None:
        if self._listens:
            self._proxies.loop.remove_reader(self._listener)
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listens = False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            self.connections += 1
            link = _Link(self, client)
            self._links.add(link)
            link.start()


class _Link:
    """One accepted connection with the one behind it. `lost`: bytes of it were swallowed."""

    def __init__(self, proxy: TcpProxy, client: socket.socket) -> None:
        self.proxy = proxy
        self.lost = False
        self._sockets = [client]
        self._task: asyncio.Task[None] | None = None

    def drop_packets(self, begins: bool) -> None:
        for each in self._sockets:
            drop_packets(each, begins)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def reset(self) -> None:
        """RST to both ends."""
        self._linger()
        if self._task is not None:
            self._task.cancel()

    def _linger(self) -> None:
        """What is closed from now on is reset."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        client = self._sockets[0]
        try:
            client.setblocking(False)
            if self.proxy.mode is Mode.HALF_OPEN:
                self.lost = True
                await self._swallow(client)
            server = socket.socket()
            self._sockets.append(server)
            server.setblocking(False)
            for each in self._sockets:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(server, ("127.0.0.1", self.proxy.target))
            await all_or_none(self._carry(client, server), self._carry(server, client))
        except OSError:  # one side has gone: so does the other
            self._linger()
        finally:
            self.proxy.forget(self)
            for each in self._sockets:
                each.close()

    async def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        """One direction, until `source` ends it."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES)
        await all_or_none(self._read(source, waiting), self._write(waiting, sink))

    async def _read(
        self, source: socket.socket, waiting: "asyncio.Queue[tuple[float, bytes]]"
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(source, _CHUNK)
            if self.proxy.mode is Mode.HALF_OPEN:
                self.lost = True
            if self.lost:
                if not data:
                    await asyncio.get_running_loop().create_future()  # until the reset
                continue
            await waiting.put((loop.time() + self.proxy.seconds, data))
            if not data:
                return

    async def _write(
        self, waiting: "asyncio.Queue[tuple[float, bytes]]", sink: socket.socket
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_WR)
                return
            if self.proxy.mode is Mode.SLICES:
                for byte in data[:_SLICED_BYTES]:
                    await loop.sock_sendall(sink, bytes([byte]))
                    await asyncio.sleep(_SLICE_SECONDS)
                data = data[_SLICED_BYTES:]
            await loop.sock_sendall(sink, data)

    async def _swallow(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(client, _CHUNK):
            pass
        await loop.create_future()
