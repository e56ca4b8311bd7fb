"""Where a bucket is, and the client that talks to it."""

import io
import re
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio import Minio

from services.core.domain.errors import InvalidArgument

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_BLOCK = 1 << 18
_STATUSES = (429, 500, 502, 503, 504)
# Every request of ours may be repeated, also POST: at worst a second multipart upload is begun.
_REPEATS = 3


@dataclass(frozen=True, slots=True)
class S3Address:
    """A bucket of an S3 server.

    Args:
        endpoint: http(s)://HOST[:PORT].
        path_style: the bucket is in the path of addresses (what servers of one's own expect),
            not in the name of the host.
        ca_file: PEM file of authorities to trust beside the system's.
        connect_timeout: seconds to connect, and for every 256 KiB that are sent.
        read_timeout: seconds without a byte from the server.
        connections: kept open; more are made when more threads need one.

    Raises InvalidArgument (BAD_S3_ADDRESS).
    """

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    path_style: bool = True
    ca_file: str = ""
    connect_timeout: float = 3.0
    read_timeout: float = 15.0
    connections: int = 64

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.endpoint)
            whole = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:
            whole = False
        if not whole or url.path.strip("/") or url.query or url.fragment or "@" in url.netloc:
            raise _bad("endpoint", f"{self.endpoint!r} is not like http://HOST:PORT")
        if not _BUCKET.fullmatch(self.bucket) or ".." in self.bucket:
            raise _bad("bucket", f"{self.bucket!r}: 3 to 63 of a-z, 0-9, dot and hyphen")
        if not self.access_key or not self.secret_key:
            raise _bad("access_key", "the access key and the secret key must not be empty")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", self.region):
            raise _bad("region", f"{self.region!r} is no region")


class _Pool(urllib3.PoolManager):
    """Sends large bodies in blocks, and follows no redirects.

    A timeout is for everything that is sent at once: a body sent whole would have to pass within
    the time that a connection may take.
    """

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = False, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        body = options.get("body")
        if isinstance(body, bytes) and len(body) > _BLOCK:
            options["body"] = io.BytesIO(body)
        return super().urlopen(method, url, redirect=False, **options)


def make_client(address: S3Address) -> Minio:
    """A client of its own connections; connects with the first request.

    Raises InvalidArgument (BAD_S3_ADDRESS) for a CA file that cannot be read.
    """
    url = urlsplit(address.endpoint)
    client = Minio(
        url.netloc,
        access_key=address.access_key,
        secret_key=address.secret_key,
        secure=url.scheme == "https",
        region=address.region,  # without one, the client asks for it with a call of its own
        http_client=_make_pool(address),
    )
    if address.path_style:
        client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    else:
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    return client


def _make_pool(address: S3Address) -> urllib3.PoolManager:
    options: dict[str, Any] = {}
    if address.ca_file:
        options["ssl_context"] = _context(address.ca_file)
    return _Pool(
        timeout=urllib3.Timeout(connect=address.connect_timeout, read=address.read_timeout),
        maxsize=address.connections,
        blocksize=_BLOCK,
        retries=urllib3.Retry(
            total=_REPEATS,
            read=2,
            backoff_factor=0.2,
            backoff_jitter=0.1,
            status_forcelist=_STATUSES,
            allowed_methods=None,
            raise_on_status=False,  # the last answer says why
            respect_retry_after_header=False,  # it may ask for hours
        ),
        **options,
    )


def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise _bad("ca_file", f"{ca_file} is no PEM file of authorities: {error}") from error
    return context


def _bad(name: str, problem: str) -> InvalidArgument:
    return InvalidArgument.field(name, problem, reason="BAD_S3_ADDRESS")
