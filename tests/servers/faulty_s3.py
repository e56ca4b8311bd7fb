"""A small S3 server in memory whose next answers can go wrong in a chosen way."""

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import trustme

from services.core.adapters.minio_objects import MinioObjects, S3Address

Fault = Callable[["Exchange"], None]


def well(exchange: "Exchange") -> None:
    """No fault: to let requests pass before one that goes wrong."""
    exchange.answer_well()


def status(number: int, code: str = "", *headers: tuple[str, str]) -> Fault:
    """An error as S3 tells it, or without a body of S3's."""

    def act(exchange: "Exchange") -> None:
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>" if code else "oh"
        kind = "application/xml" if code else "text/plain"
        exchange.answer(number, body.encode(), ("Content-Type", kind), *headers)

    return act


def drop(exchange: "Exchange") -> None:
    """Ends the connection without an answer."""
    exchange.close_connection = True


def hang(exchange: "Exchange") -> None:
    """Never answers."""
    exchange.faulty.closed.wait()
    exchange.close_connection = True


def cut(after: int, then: Fault = drop) -> Fault:
    """Announces the whole object, sends its first bytes, and then drops or hangs."""

    def act(exchange: "Exchange") -> None:
        body = exchange.faulty.objects[exchange.key]
        exchange.send_response(200)
        exchange.send_header("Content-Length", str(len(body)))
        exchange.send_header("ETag", exchange.etag(body))
        exchange.end_headers()
        exchange.wfile.write(body[:after])
        then(exchange)
        exchange.close_connection = True

    return act


def endless(exchange: "Exchange") -> None:
    """Sends the first bytes of an object without saying how many there are."""
    exchange.send_response(200)
    exchange.send_header("Connection", "close")
    exchange.end_headers()
    exchange.wfile.write(exchange.faulty.objects[exchange.key][:-1])


def whole(exchange: "Exchange") -> None:
    """Sends everything, whatever range was asked for."""
    body = exchange.faulty.objects[exchange.key]
    exchange.answer(200, body, ("ETag", exchange.etag(body)))


@dataclass
class FaultyS3:
    """Any bucket, any keys. `faults` are used up by the next requests, one each.

    `requests` are those so far: method, path, query, range.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    pause: float = 0.0  # seconds before each 64 KiB that are received
    closed: threading.Event = field(default_factory=threading.Event)
    authority: trustme.CA | None = None  # signs the certificate; None serves without TLS

    def __post_init__(self) -> None:
        faulty = self

        class Bound(Exchange):
            pass

        Bound.faulty = faulty
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        if self.authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.authority.issue_cert("127.0.0.1").configure_cert(context)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def store(self, connect: float = 0.5, read: float = 0.5, ca_file: str = "") -> MinioObjects:
        """An adapter whose timeouts are these seconds."""
        scheme = "https" if self.authority else "http"
        address = S3Address(
            f"{scheme}://127.0.0.1:{self._server.server_port}",
            "bucket",
            "shelf",
            "shelf-secret",
            ca_file=ca_file,
            connect_timeout=connect,
            read_timeout=read,
        )
        return MinioObjects(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Exchange(BaseHTTPRequestHandler):
    """One request and its answer."""

    protocol_version = "HTTP/1.1"
    faulty: FaultyS3
    key = ""
    body = b""

    def setup(self) -> None:
        super().setup()
        self.faulty.connections += 1

    def handle_one_request(self) -> None:
        with suppress(OSError):
            super().handle_one_request()
            return
        self.close_connection = True

    def do_GET(self) -> None:
        self._take()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Nothing: tests look at `requests`."""

    def answer(self, number: int, body: bytes = b"", *headers: tuple[str, str]) -> None:
        self.send_response(number)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @staticmethod
    def etag(body: bytes) -> str:
        return f'"{hash(body):x}"'

    def answer_well(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        match self.command, query:
            case "POST", {"uploads": _}:
                name = f"u{len(self.faulty.requests)}"
                self.faulty.uploads[name] = {}
                self._xml(f"<R><UploadId>{name}</UploadId></R>")
            case "PUT", {"uploadId": [name], "partNumber": [number]}:
                self.faulty.uploads[name][int(number)] = self.body
                self.answer(200, b"", ("ETag", self.etag(self.body)))
            case "POST", {"uploadId": [name]}:
                parts = self.faulty.uploads.pop(name)
                self.faulty.objects[self.key] = b"".join(parts[each] for each in sorted(parts))
                self._xml('<R><ETag>"e"</ETag></R>')
            case "DELETE", {"uploadId": [name]}:
                del self.faulty.uploads[name]
                self.answer(204)
            case "PUT", _:
                self.faulty.objects[self.key] = self.body
                self.answer(200, b"", ("ETag", self.etag(self.body)))
            case "DELETE", _:
                self.faulty.objects.pop(self.key, None)
                self.answer(204)
            case _:
                self._send()

    def _take(self) -> None:
        url = urlsplit(self.path)
        self.key = url.path.removeprefix("/bucket/")
        parts, left = [], int(self.headers.get("Content-Length") or 0)
        while left:
            time.sleep(self.faulty.pause)
            parts.append(self.rfile.read(min(1 << 16, left)))
            left -= len(parts[-1])
        self.body = b"".join(parts)
        asked = f"{self.command} {self.path} {self.headers.get('Range', '')}"
        self.faulty.requests.append(asked.strip())
        fault = self.faulty.faults.popleft() if self.faulty.faults else well
        fault(self)

    def _send(self) -> None:
        if self.key == "/bucket":
            self.answer(200)
            return
        body = self.faulty.objects.get(self.key)
        if body is None:
            status(404, "NoSuchKey")(self)
            return
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        if not asked:
            self.answer(200, body, ("ETag", self.etag(body)))
            return
        first, last = (int(each) if each else len(body) - 1 for each in asked.split("-"))
        if first >= len(body):
            status(416, "InvalidRange")(self)
            return
        last = min(last, len(body) - 1)
        extent = ("Content-Range", f"bytes {first}-{last}/{len(body)}")
        self.answer(206, body[first : last + 1], extent, ("ETag", self.etag(body)))

    def _xml(self, text: str) -> None:
        self.answer(200, text.encode(), ("Content-Type", "application/xml"))
