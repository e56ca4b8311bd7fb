"""A web server on a loopback address that answers each path as a table says."""

import io
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import trustme
from PIL import Image

HOST = "shop.test"


def picture(seed: int = 0, side: int = 96) -> bytes:
    """A JPEG of noise."""
    noise = random.Random(seed).randbytes(side * side * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", (side, side), noise).save(out, "JPEG", quality=90)
    return out.getvalue()


GOOD = picture()


@dataclass(slots=True)
class Visit:
    """One request and the connection to answer it on.

    `number` counts those of its path from 1, `at` is when it came (monotonic seconds).
    """

    server: "MisbehavingServer"
    stream: socket.socket
    path: str
    headers: dict[str, str]
    number: int
    at: float = field(default_factory=time.monotonic)
    open: bool = True

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def head(self, status: str, *lines: str) -> None:
        self.send("\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode())

    def answer(
        self, status: str, body: bytes = b"", *lines: str, length: int | None = None
    ) -> None:
        """A whole answer; with a wrong `length` the connection ends after it."""
        self.head(status, f"Content-Length: {len(body) if length is None else length}", *lines)
        self.send(body)
        self.open = length is None

    def redirect(self, location: str) -> None:
        self.answer("302 Found", b"moved", f"Location: {location}")

    def forever(self, piece: bytes, pause: float = 0.0) -> None:
        """Until the client has had enough."""
        self.open = False
        while not self.server.closed.wait(pause):
            self.send(piece)

    def reset(self) -> None:
        """Ends the connection with RST."""
        self.open = False
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Behaviour = Callable[[Visit], None]


class MisbehavingServer:
    """Serves in threads until closed. What the clients did is in `visits` and `most_at_once`.

    Args:
        authority: signs the certificate; None serves without TLS.
        names: of the certificate.
        address, port: to listen on; port 0 picks a free one.
        expired: the certificate was valid until yesterday.
        paths: what is done for a path, its query aside; others are not found.
    """

    def __init__(
        self,
        authority: trustme.CA | None,
        *names: str,
        address: str = "127.0.0.1",
        port: int = 0,
        expired: bool = False,
        paths: Mapping[str, Behaviour],
    ) -> None:
        self.visits: list[Visit] = []
        self.connections = 0
        self.most_at_once = 0
        self.closed = threading.Event()
        self._at_once = 0
        self._paths = paths
        self._lock = threading.Lock()
        self._context = _context(authority, names, expired) if authority else None
        self._listener = socket.create_server((address, port))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, path: str, host: str = HOST) -> str:
        scheme = "https" if self._context else "http"
        return f"{scheme}://{host}:{self.port}{path}"

    def count(self, path: str) -> int:
        """Requests for `path` so far."""
        with self._lock:
            return sum(each.path == path for each in self.visits)

    def close(self) -> None:
        self.closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                if self.closed.is_set():
                    return
                continue  # a client that left before it was served
            self.connections += 1
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain:
            plain.settimeout(20)
            stream = plain
            if self._context is not None:
                stream = self._context.wrap_socket(plain, server_side=True)
            elif plain.recv(1, socket.MSG_PEEK) == b"\x16":  # a TLS client at the wrong door
                plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
            with stream, stream.makefile("rb") as requests:
                while self._answer(stream, requests):
                    pass

    def _answer(self, stream: socket.socket, requests: io.BufferedIOBase) -> bool:
        """Whether the connection stays open."""
        first = requests.readline().decode()
        if not first:
            return False
        headers = {}
        while (line := requests.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        path = first.split()[1]
        with self._lock:
            number = 1 + sum(each.path == path for each in self.visits)
            visit = Visit(self, stream, path, headers, number)
            self.visits.append(visit)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self._paths.get(path.partition("?")[0], _absent)(visit)
        finally:
            with self._lock:
                self._at_once -= 1
        return visit.open


def _context(authority: trustme.CA, names: tuple[str, ...], expired: bool) -> ssl.SSLContext:
    end = datetime(2020, 1, 2, tzinfo=UTC) if expired else None
    begin = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority.issue_cert(*(names or (HOST,)), not_before=begin, not_after=end)
    certificate.configure_cert(context)
    return context


def _absent(visit: Visit) -> None:
    visit.answer("404 Not Found", b"no such picture")
