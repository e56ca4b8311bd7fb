"""A proxy in front of an S3 server that makes a share of the requests go wrong.

Requests are passed on as they came, the Host header included, so that signatures stay valid.
"""

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

_SECONDS = 30.0  # the server behind may be stopped for a while
_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class ObjectFault(StrEnum):
    """What goes wrong with a request."""

    ERROR = "500"
    BUSY = "503"
    TRUNCATED = "truncated"  # the answer breaks off in the middle of its body
    SLOW = "slow"
    FULL = "full"  # 507 and XMinioStorageFull, for whatever would store something
    UNANSWERED = "unanswered"  # the server has done it, and the connection ends without a word


class ObjectFaults:
    """Listens on `port` and passes to 127.0.0.1:`target`.

    `injected` counts the faults by kind.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.injected: Counter[ObjectFault] = Counter()
        self._lock = threading.Lock()
        self._fault: ObjectFault | None = None
        self._share = 0.0
        self._seconds = 0.0
        self._random = random.Random(0)
        faults = self

        class Bound(_Exchange):
            pass

        Bound.faults = faults
        self._server = _Server(("127.0.0.1", 0), Bound)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        return self._server.server_port

    def inject(
        self, fault: ObjectFault, share: float = 1.0, seed: int = 0, seconds: float = 3.0
    ) -> None:
        """From now on a `share` (0 to 1) of the requests has this fault; slow ones take `seconds`
        longer."""
        with self._lock:
            self._fault, self._share, self._seconds = fault, share, seconds
            self._random = random.Random(seed)

    def heal(self) -> None:
        """No more faults."""
        with self._lock:
            self._fault = None

    def drawn(self, method: str) -> tuple[ObjectFault | None, float]:
        """The fault of the next request, and how slow a slow one is (seconds)."""
        with self._lock:
            fault = self._fault
            if fault is None or self._random.random() >= self._share:
                return None, 0.0
            if fault is ObjectFault.FULL and method not in ("PUT", "POST"):
                return None, 0.0
            self.injected[fault] += 1
            return fault, self._seconds

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class _Exchange(BaseHTTPRequestHandler):
    """One request and its answer."""

    protocol_version = "HTTP/1.1"
    faults: ObjectFaults

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        fault, seconds = self.faults.drawn(self.command)
        if fault is ObjectFault.SLOW:
            time.sleep(seconds)
        before = _BEFORE.get(fault) if fault else None
        if before is not None:
            before(self)
            return
        answer = self._ask(body)
        if answer is None or fault is ObjectFault.UNANSWERED:
            self.reset()
            return
        self._pass_on(*answer, cut=fault is ObjectFault.TRUNCATED)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Nothing."""

    def refuse(self, status: int, code: str) -> None:
        """An error as S3 tells it."""
        body = f"<Error><Code>{code}</Code><Message>chaos</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self) -> None:
        """RST."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes] | None:
        """The server's answer, None where it has none."""
        server = http.client.HTTPConnection("127.0.0.1", self.faults.target, timeout=_SECONDS)
        try:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                server.putheader(name, value)
            server.endheaders(body or None)
            answer = server.getresponse()
            return answer, answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            server.close()

    def _pass_on(self, answer: http.client.HTTPResponse, body: bytes, *, cut: bool) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _BY_HOP:
                self.send_header(name, value)
        told = answer.getheader("Content-Length") if self.command == "HEAD" else len(body)
        if told is not None:
            self.send_header("Content-Length", str(told))
        self.end_headers()
        if cut:
            self.wfile.write(body[: len(body) // 2])
            self.reset()
        else:
            self.wfile.write(body)


# Faults that keep the request from the server.
_BEFORE: dict[ObjectFault, Callable[[_Exchange], None]] = {
    ObjectFault.ERROR: lambda each: each.refuse(500, "InternalError"),
    ObjectFault.BUSY: lambda each: each.refuse(503, "SlowDown"),
    ObjectFault.FULL: lambda each: each.refuse(507, "XMinioStorageFull"),
}
