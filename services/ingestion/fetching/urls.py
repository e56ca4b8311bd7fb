"""Addresses of images, taken apart and written in one way."""

import ipaddress
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from services.ingestion.fetching.refusals import FetchReason, Refused

LONGEST = 8_192
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f\\]")
_IN_PATH = "/%:@!$&'()*+,;=~-._"
_IN_QUERY = _IN_PATH + "?"


@dataclass(frozen=True, slots=True)
class Url:
    """`host` is ASCII and lower case, an IPv6 address without brackets; `target` path and query."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"


def parse_url(text: str, ports: Collection[int]) -> Url:
    """Raises Refused (INVALID) for what is no http(s) address that we may ask for.

    Spaces and letters outside ASCII are escaped as browsers do; the fragment is dropped. Names and
    passwords in the address, and other ports than `ports`, are refused.
    """
    text = text.strip()
    if len(text) > LONGEST:
        raise _invalid(f"longer than {LONGEST} characters")
    if _UNPRINTED.search(text):
        raise _invalid("it holds a control character or a backslash")
    try:
        parts = urlsplit(text)
        port = parts.port
        host = _ascii(parts.hostname or "")
    except ValueError as error:
        raise _invalid(str(error)) from None
    if parts.scheme not in _PORTS:
        raise _invalid("it does not begin with https:// or http://")
    if "@" in parts.netloc:
        raise _invalid("it holds a name or password")
    if port is None:
        port = _PORTS[parts.scheme]
    if port not in ports:
        raise _invalid(f"port {port} is not one of {sorted(ports)}")
    return Url(parts.scheme, host, port, _target(parts))


def redirected(url: Url, location: str | None, ports: Collection[int]) -> Url:
    """Where `url` leads to by a Location header, which may be relative.

    Raises Refused (BAD_REDIRECT): no location, another scheme, or from https to http.
    """
    if not location:
        raise Refused(FetchReason.BAD_REDIRECT, "without a location")
    with suppress(UnicodeError):  # http.client reads Latin-1; servers send UTF-8
        location = location.encode("latin-1").decode()
    try:
        target = parse_url(urljoin(str(url), location.strip()), ports)
    except (Refused, ValueError) as error:
        raise Refused(FetchReason.BAD_REDIRECT, str(error)) from None
    if url.scheme == "https" and target.scheme == "http":
        raise Refused(FetchReason.BAD_REDIRECT, "from https to http")
    return target


def _ascii(host: str) -> str:
    if ":" in host:
        return str(ipaddress.IPv6Address(host.partition("%")[0]))
    host = host if host.isascii() else host.encode("idna").decode()
    host = host.lower().removesuffix(".")
    if not _HOST.fullmatch(host):
        raise ValueError("its host is no host name")
    return host


def _target(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe=_IN_PATH, errors="replace")
    query = quote(parts.query, safe=_IN_QUERY, errors="replace")
    return f"{path}?{query}" if query else path


def _invalid(detail: str) -> Refused:
    return Refused(FetchReason.INVALID, detail)
