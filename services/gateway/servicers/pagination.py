"""Pages of lists (AIP-158): sizes, and tokens that fit one request only."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from services.core.domain.errors import InvalidArgument

T = TypeVar("T")


class PagedRequest(Protocol):
    """What requests for pages have in common."""

    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class Page:
    """At most `size` entries beyond `after`, which is empty for the first page."""

    size: int
    after: str
    digest: str

    def token(self, after: str) -> str:
        """The token of the page that begins beyond `after`."""
        body = json.dumps({"after": after, "digest": self.digest}).encode()
        return base64.urlsafe_b64encode(body).decode()

    def split(self, found: Sequence[T], key: Callable[[T], str]) -> tuple[Sequence[T], str]:
        """The page and the next token, from up to size + 1 entries."""
        if len(found) <= self.size:
            return found, ""
        return found[: self.size], self.token(key(found[self.size - 1]))


def read_page(request: Message, size: int, token: str, default: int, most: int) -> Page:
    """The page that `request` asks for by `size` and `token`, two of its fields.

    Raises InvalidArgument (PAGE_SIZE_NEGATIVE; PAGE_TOKEN_INVALID for tokens of other requests).
    """
    if size < 0:
        raise InvalidArgument.field("page_size", "is negative", reason="PAGE_SIZE_NEGATIVE")
    digest = _digest(request)
    return Page(min(size or default, most), _after(token, digest) if token else "", digest)


def _digest(request: Message) -> str:
    rest = type(request)()
    rest.CopyFrom(request)
    for field in ("page_size", "page_token"):
        rest.ClearField(field)
    body = rest.SerializeToString(deterministic=True)
    return hashlib.sha256(rest.DESCRIPTOR.full_name.encode() + b"\0" + body).hexdigest()[:32]


def _after(token: str, digest: str) -> str:
    try:
        body = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        after = body["after"] if body["digest"] == digest else None
    except (binascii.Error, ValueError, KeyError, TypeError):
        after = None
    if not isinstance(after, str) or not after:
        raise InvalidArgument.field(
            "page_token",
            "is not a token of this request: repeat it with the other fields unchanged, "
            "or begin with an empty token",
            reason="PAGE_TOKEN_INVALID",
        )
    return after
