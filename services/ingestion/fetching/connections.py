"""Connections that go only where they may, and whose reads end in time."""

import io
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from services.ingestion.fetching.addresses import check_addresses
from services.ingestion.fetching.limits import FetchLimits
from services.ingestion.fetching.refusals import FetchReason, Refused
from services.ingestion.fetching.urls import Url

# Host and port -> numeric addresses, the best first. Raises OSError.
Resolve = Callable[[str, int], Sequence[str]]
_ADDRESSES_TRIED = 3


def resolve(host: str, port: int) -> list[str]:
    """The system's answer for `host`, which may be an address itself."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """Trusts the system's authorities, and those in `ca_file` (PEM). Raises OSError."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


class Connection(HTTPConnection):
    """One connection to the host of `url`; it may serve several requests in a row.

    The name is resolved once, every address is checked, and the connection goes to a checked
    address itself: an answer that changes in between changes nothing. Nothing is read after
    `deadline` (time.monotonic), and no more header bytes than allowed.
    """

    def __init__(
        self, url: Url, limits: FetchLimits, resolve: Resolve, context: ssl.SSLContext
    ) -> None:
        super().__init__(url.host, url.port)
        self.default_port = 443 if url.scheme == "https" else 80
        self.origin = (url.scheme, url.host, url.port)
        self.deadline = 0.0
        self.idle_since = 0.0
        self._limits = limits
        self._resolve = resolve
        self._context = context if url.scheme == "https" else None
        self._headers_left = 0
        self._stream: socket.socket | None = None  # http.client forgets `sock` before a body ends
        self.response_class = self._respond  # type: ignore[assignment]

    def connect(self) -> None:
        """Raises Refused (FORBIDDEN_ADDRESS), OSError."""
        try:
            addresses = self._resolve(self.host, self.port)
        except UnicodeError as error:
            raise Refused(FetchReason.INVALID, str(error)) from None
        check_addresses(addresses, self._limits.allowed_networks)
        plain = self._open(_both_kinds_first(addresses)[:_ADDRESSES_TRIED])
        self.sock = plain
        if self._context is not None:
            try:
                self.sock = self._context.wrap_socket(plain, server_hostname=self.host)
            except BaseException:
                plain.close()
                raise
        self._stream = self.sock

    def abort(self) -> None:
        """Ends the connection under the thread that waits for it."""
        if self._stream is not None:
            with suppress(OSError):  # not SSLSocket's, which is not for two threads
                socket.socket.shutdown(self._stream, socket.SHUT_RDWR)

    def ask(self, target: str, headers: dict[str, str]) -> HTTPResponse:
        """Sends a GET and reads the answer's headers. Raises Refused, OSError, HTTPException."""
        if self.sock is None:
            self.connect()
        self._headers_left = self._limits.header_bytes
        self.sock.settimeout(self._seconds_left(self._limits.idle_seconds))
        self.request("GET", target, headers=headers)
        response = self.getresponse()
        self._headers_left = -1
        return response

    @property
    def quiet(self) -> bool:
        """Whether it is open and nothing came unasked, so that another request may go out."""
        if self.sock is None:
            return False
        try:
            self.sock.settimeout(0)
            self.sock.recv(1)  # a byte that nobody asked for, or the end
            return False
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False

    def _open(self, addresses: Sequence[str]) -> socket.socket:
        failure: OSError = OSError("the name has no address")
        for address in addresses:
            try:
                return socket.create_connection(
                    (address, self.port), self._seconds_left(self._limits.connect_seconds)
                )
            except OSError as error:
                failure = error
        raise failure

    def _seconds_left(self, most: float) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for this image is over")
        return min(left, most)

    def _respond(self, sock: socket.socket, **options: Any) -> HTTPResponse:
        response = HTTPResponse(sock, **options)
        response.fp.close()
        response.fp = io.BufferedReader(_TimedReader(self, sock))
        return response

    def before_read(self) -> float:
        """Seconds that a read may wait. Raises TimeoutError, Refused (BAD_RESPONSE)."""
        if self._headers_left == 0:
            raise Refused(
                FetchReason.BAD_RESPONSE, f"headers of more than {self._limits.header_bytes} bytes"
            )
        return self._seconds_left(self._limits.idle_seconds)

    def after_read(self, count: int) -> None:
        """Counts the bytes of the headers; what follows them in the same read does no harm."""
        if self._headers_left > 0:
            self._headers_left = max(0, self._headers_left - count)


def _both_kinds_first(addresses: Sequence[str]) -> list[str]:
    """The best address, then the best of the other kind: often only IPv4 or IPv6 leads anywhere."""
    other = [each for each in addresses if (":" in each) != (":" in addresses[0])]
    return list(dict.fromkeys([*addresses[:1], *other[:1], *addresses]))


class _TimedReader(io.RawIOBase):
    """Reads a socket with what is left of the connection's time for each read.

    A socket's own timeout begins anew with each byte, which a slow sender can use without end.
    """

    def __init__(self, connection: Connection, sock: socket.socket) -> None:
        self._connection = connection
        self._sock = sock
        # Keeps the socket open where http.client closes it before the body has been read.
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._connection.before_read())
        count = self._sock.recv_into(buffer)
        self._connection.after_read(count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
