"""What the status and the headers of an answer say."""

import re
import time
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime

from services.imaging.verdicts import Verdict
from services.ingestion.fetching.refusals import FetchReason, Refused

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WITH_BODY = (200, 203)
_REASONS: dict[int, str] = {
    204: Verdict.IMAGE_EMPTY,
    205: Verdict.IMAGE_EMPTY,
    304: FetchReason.BAD_RESPONSE,  # nobody asked whether it changed
    401: FetchReason.DENIED,
    402: FetchReason.DENIED,
    403: FetchReason.DENIED,
    404: FetchReason.NOT_FOUND,
    407: FetchReason.DENIED,
    408: FetchReason.TIMEOUT,
    410: FetchReason.NOT_FOUND,
    429: FetchReason.RATE_LIMITED,
    451: FetchReason.DENIED,
}
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,250}"')
_MAX_AGE = re.compile(r"max-age=(\d{1,10})")


@dataclass(frozen=True, slots=True)
class Validators:
    """What an answer said about its version: sent back, they ask for another version only."""

    etag: str = ""
    last_modified: str = ""

    def headers(self) -> dict[str, str]:
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


def check_status(status: int, headers: Message) -> None:
    """Raises Refused unless an image follows that is sent as it is."""
    if status not in _WITH_BODY:
        reason = _REASONS.get(status)
        if reason is None:
            reason = FetchReason.SERVER_ERROR if status >= 500 else FetchReason.STATUS
        wait = retry_after(headers) if status in (429, 503) else None
        raise Refused(reason, f"status {status}", wait)
    encoding = str(headers.get("Content-Encoding", "")).strip().lower()
    if encoding not in ("", "identity"):
        raise Refused(FetchReason.ENCODED, encoding[:40])


def retry_after(headers: Message) -> float | None:
    """Seconds that the host asks to wait for, None when it does not say."""
    text = str(headers.get("Retry-After", "")).strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    moment = _http_date(text)
    return None if moment is None else max(0.0, moment - time.time())


def validators_of(headers: Message) -> Validators:
    """Those that can be sent back as they are; malformed ones count as missing."""
    etag = str(headers.get("ETag", "")).strip()
    modified = str(headers.get("Last-Modified", "")).strip()
    return Validators(
        etag if _ETAG.fullmatch(etag) else "",
        modified if _http_date(modified) is not None else "",
    )


def fresh_seconds(headers: Message, longest: float) -> float:
    """How long the answer promises that its bytes never change: `immutable` with a max-age.

    A max-age alone is no such promise: shops replace pictures within it, and an import is asked for
    because something changed.
    """
    control = str(headers.get("Cache-Control", ""))[:500].lower()
    age = _MAX_AGE.search(control)
    if age is None or not re.search(r"\bimmutable\b", control) or "no-" in control:
        return 0.0
    return min(float(age[1]), longest)


def _http_date(text: str) -> float | None:
    """Seconds since the epoch."""
    if not 20 <= len(text) <= 40 or not text.isascii() or not text.isprintable():
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
