"""One request for an image, and what its answer means."""

import http.client
import ssl
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPResponse

from services.core.domain.errors import InvalidImage
from services.imaging.headers import inspect
from services.imaging.limits import ImageLimits
from services.imaging.verdicts import Verdict
from services.ingestion.fetching.answers import REDIRECTS, Validators, check_status
from services.ingestion.fetching.connections import Connection, Resolve
from services.ingestion.fetching.limits import KIB, FetchLimits
from services.ingestion.fetching.refusals import FetchReason, Refused
from services.ingestion.fetching.urls import Url, redirected

_PIECE = 64 * KIB
_LOOK = 4 * KIB  # enough of a file to see what it is
_DRAINED = 16 * KIB  # of an answer that is no image
_IDLE_SECONDS = 15.0
# What a connection raises that its host closed while it was idle.
_ENDED = (ConnectionError, ssl.SSLError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Redirect:
    """The image is elsewhere."""

    to: Url


@dataclass(frozen=True, slots=True)
class Unchanged:
    """It is still the version that the request named."""

    headers: Message


@dataclass(frozen=True, slots=True)
class Body:
    """An image whose header has been checked."""

    data: bytes = field(repr=False)
    headers: Message


class Transfers:
    """Asks hosts for images over connections that are used again. Safe to call from many threads.

    `resolve` and `context` (TLS) are parameters for the tests' sake and for internal authorities.
    """

    def __init__(
        self,
        limits: FetchLimits,
        images: ImageLimits,
        resolve: Resolve,
        context: ssl.SSLContext,
    ) -> None:
        self._limits = limits
        self._images = images
        kinds = [f"image/{each.lower()}" for each in images.formats]
        self._accept = ", ".join([*kinds, "*/*;q=0.1"])
        self._resolve = resolve
        self._context = context
        self._idle: list[Connection] = []
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._closed = False
        self._lock = threading.Lock()

    def get(self, url: Url, validators: Validators, deadline: float) -> Redirect | Unchanged | Body:
        """One GET, ended by `deadline` (time.monotonic). Raises Refused."""
        headers = {
            "User-Agent": self._limits.user_agent,
            "Accept": self._accept,
            **validators.headers(),
        }
        connection, response = self._ask(url, headers, deadline)
        try:
            with _translated():
                return self._answer(url, response, bool(validators.headers()))
        finally:
            self._put_back(connection, response)

    def close_idle(self, seconds: float = _IDLE_SECONDS) -> None:
        """Closes connections that nobody used for `seconds`."""
        before = time.monotonic() - seconds
        with self._lock:
            old = [each for each in self._idle if each.idle_since <= before]
            self._idle = [each for each in self._idle if each.idle_since > before]
        for each in old:
            each.close()

    def close(self) -> None:
        """Ends all connections, also those that a thread waits for."""
        with self._lock:
            self._closed = True
            connections = list(self._open)
        for each in connections:
            each.abort()
        self.close_idle(0.0)

    def _ask(
        self, url: Url, headers: dict[str, str], deadline: float
    ) -> tuple[Connection, HTTPResponse]:
        connection = self._take(url)
        if connection is not None:
            connection.deadline = deadline
            with _translated(), _closing_unless_done(connection), suppress(*_ENDED):
                return connection, connection.ask(url.target, headers)
            connection.close()
        connection = self._new(url)
        connection.deadline = deadline
        with _translated(), _closing_unless_done(connection):
            return connection, connection.ask(url.target, headers)

    def _answer(
        self, url: Url, response: HTTPResponse, conditional: bool
    ) -> Redirect | Unchanged | Body:
        if response.status >= 300 and response.length is not None and response.length <= _DRAINED:
            with suppress(OSError, http.client.HTTPException):
                response.read()  # so that the connection can be used again
        if response.status == 304 and conditional:
            return Unchanged(response.headers)
        if response.status in REDIRECTS:
            location = response.headers.get("Location")
            return Redirect(redirected(url, location, self._limits.ports))
        check_status(response.status, response.headers)
        return Body(self._read(response), response.headers)

    def _read(self, response: HTTPResponse) -> bytes:
        limit = self._images.max_bytes
        declared = response.length
        if declared is not None and declared > limit:
            raise Refused(Verdict.IMAGE_TOO_LARGE, f"it says {declared} bytes, limit {limit}")
        pieces: list[bytes] = []
        size = 0
        with _torn():
            while piece := response.read(_PIECE if pieces else _LOOK):
                if not pieces and len(piece) == _LOOK:
                    self._check_kind(piece)
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise Refused(Verdict.IMAGE_TOO_LARGE, f"more than {limit} bytes")
        if declared is not None and size < declared:
            raise Refused(FetchReason.TRUNCATED, f"{size} of {declared} bytes")
        data = b"".join(pieces)
        self._inspect(data)
        return data

    def _check_kind(self, start: bytes) -> None:
        """Spares the rest of what is no image at all; a header may go on beyond `start`."""
        try:
            self._inspect(start)
        except Refused as error:
            if error.reason in (FetchReason.NOT_AN_IMAGE, Verdict.IMAGE_FORMAT_UNSUPPORTED):
                raise

    def _inspect(self, data: bytes) -> None:
        try:
            inspect(data, self._images)
        except InvalidImage as error:
            reason: str = error.reason
            if reason == Verdict.IMAGE_FORMAT_UNSUPPORTED and _is_text(data):
                reason = FetchReason.NOT_AN_IMAGE
            raise Refused(reason, error.message) from None

    def _take(self, url: Url) -> Connection | None:
        origin = (url.scheme, url.host, url.port)
        with self._lock:
            found = [each for each in self._idle if each.origin == origin]
            if not found:
                return None
            self._idle.remove(found[-1])
        if found[-1].quiet:
            return found[-1]
        found[-1].close()
        return None

    def _new(self, url: Url) -> Connection:
        connection = Connection(url, self._limits, self._resolve, self._context)
        with self._lock:
            if self._closed:
                raise Refused(FetchReason.UNREACHABLE, "the worker is stopping")
            self._open.add(connection)
        return connection

    def _put_back(self, connection: Connection, response: HTTPResponse) -> None:
        """For the next request to its host, unless an unread body is in the way."""
        whole = response.isclosed() and connection.sock is not None
        response.close()
        connection.idle_since = time.monotonic()
        with self._lock:
            if whole:
                self._idle.append(connection)
            full = len(self._idle) > self._limits.connections
            surplus = self._idle.pop(0) if full else None
        for each in (surplus, None if whole else connection):
            if each is not None:
                each.close()


def _is_text(data: bytes) -> bool:
    """Whether it begins like a page, JSON or other text."""
    start = data[:64].removeprefix(b"\xef\xbb\xbf")
    return all((byte >= 32 and byte != 127) or byte in b"\t\r\n" for byte in start)


@contextmanager
def _closing_unless_done(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def _torn() -> Iterator[None]:
    """A connection that ends within a body."""
    try:
        yield
    except TimeoutError:
        raise
    except (http.client.IncompleteRead, ConnectionError, ssl.SSLEOFError) as error:
        raise Refused(FetchReason.TRUNCATED, str(error)) from error


@contextmanager
def _translated() -> Iterator[None]:
    """What the network raises, as Refused."""
    try:
        yield
    except TimeoutError as error:
        raise Refused(FetchReason.TIMEOUT, str(error)) from error
    except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        raise Refused(FetchReason.UNREACHABLE, str(error)) from error
    except ssl.SSLError as error:
        raise Refused(FetchReason.TLS, str(error)) from error
    except OSError as error:
        raise Refused(FetchReason.UNREACHABLE, str(error)) from error
    except (http.client.HTTPException, ValueError) as error:
        raise Refused(FetchReason.BAD_RESPONSE, repr(error)[:200]) from error
