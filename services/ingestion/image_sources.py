"""Where the images of a shard's rows are: stored already, in an object, or at an address."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from typing import Any, NamedTuple, Protocol

from services.core.domain.errors import InvalidArgument, NotFound
from services.core.domain.keys import image_key, incoming_key
from services.core.domain.names import check_digest
from services.core.ports import ObjectStore
from services.core.stored_images import is_stored, refer
from services.imaging.headers import inspect
from services.imaging.limits import ImageLimits
from services.ingestion.fetching.fetcher import Fetcher
from services.ingestion.fetching.jobs import Fetched
from services.ingestion.fetching.limits import FetchLimits
from services.ingestion.fetching.refusals import Refused
from services.ingestion.fetching.urls import Url, parse_url

URL_UNSUPPORTED = "IMAGE_URL_UNSUPPORTED"


class Found(NamedTuple):
    """An image that a row may use has no `reason`, or a `sha256` beside it.

    With both, the image could not be fetched and an earlier copy stays in use. With neither, the
    image is good as far as anybody looked, and nothing is stored.
    """

    sha256: str
    reason: str = ""

    @property
    def usable(self) -> bool:
        return bool(self.sha256) or not self.reason


class ImageSources(Protocol):
    """Answers for the images of one shard. Texts may be anything; only the store's errors rise."""

    def stored(self, sha256: str) -> Found:
        """An image that was uploaded before."""

    def at_url(self, url: str) -> Found:
        """An image at an address."""

    def in_object(self, key: str) -> Found:
        """An image in an object below `incoming/`."""


@dataclass(slots=True)
class ImageCounts:
    """Of one shard: addresses whose image was downloaded, and those that needed no download."""

    fetched: int = 0
    unchanged: int = 0


class StoredImages:
    """Brings the images of one shard into the store; each is looked at once."""

    def __init__(
        self,
        objects: ObjectStore,
        fetcher: Fetcher | None,
        limits: ImageLimits | None = None,
        *,
        by_reference: bool = False,
    ) -> None:
        """With `by_reference`, images in objects are not copied but referred to."""
        self.counts = ImageCounts()
        self._objects = objects
        self._fetcher = fetcher
        self._by_reference = by_reference
        self._limits = limits or ImageLimits()
        self._stored: dict[str, Found] = {}
        self._taken: dict[str, Found] = {}  # by the key of the object
        self._fetched: dict[Url, Fetched] = {}

    def fetch_ahead(self, lines: Iterable[bytes | None]) -> None:
        """Fetches all addresses of these lines at once; `at_url` then knows their images."""
        if self._fetcher is not None:
            self._fetch(_parsed(urls_in(lines), self._fetcher.limits))

    def stored(self, sha256: str) -> Found:
        found = self._stored.get(sha256)
        if found is None:
            reason = self._against(sha256)
            found = self._stored[sha256] = Found("" if reason else sha256, reason)
        return found

    def at_url(self, url: str) -> Found:
        if self._fetcher is None:
            return Found("", URL_UNSUPPORTED)
        try:
            parsed = parse_url(url, self._fetcher.limits.ports)
        except Refused as refused:
            return Found("", refused.reason)
        if parsed not in self._fetched:
            self._fetch([parsed])
        fetched = self._fetched[parsed]
        return Found(fetched.sha256, fetched.reason)

    def in_object(self, key: str) -> Found:
        found = self._taken.get(key)
        if found is None:
            found = self._taken[key] = self._take_object(key)
        return found

    def _fetch(self, urls: Iterable[Url]) -> None:
        if self._fetcher is None:
            return
        fetched = self._fetcher.fetch(urls)
        self._fetched |= fetched
        good = [each for each in fetched.values() if not each.reason]
        self.counts.fetched += sum(each.downloaded for each in good)
        self.counts.unchanged += sum(not each.downloaded for each in good)

    def _against(self, sha256: str) -> str:
        """The reason why no row can use the image, empty for a stored one."""
        try:
            check_digest(sha256, "sha256")
        except InvalidArgument as error:
            return error.reason
        return "" if is_stored(self._objects, sha256) else "IMAGE_MISSING"

    def _take_object(self, key: str) -> Found:
        try:
            # One byte more than allowed tells inspect of a larger object.
            data = self._objects.get_range(incoming_key(key), 0, self._limits.max_bytes + 1)
            inspect(data, self._limits)
        except NotFound:
            return Found("", "OBJECT_NOT_FOUND")
        except InvalidArgument as error:  # the key's fault or the picture's
            return Found("", error.reason)
        digest = sha256_of(data).hexdigest()
        if self._by_reference:
            refer(self._objects, digest, key)
        elif self._objects.size(image_key(digest)) is None:
            self._objects.put(image_key(digest), data)
        return Found(digest)


class UnseenImages:
    """For a dry run: only what can be told from the references themselves."""

    def __init__(self, limits: FetchLimits | None) -> None:
        self._limits = limits

    def stored(self, sha256: str) -> Found:
        reason = _refusal(lambda: check_digest(sha256, "sha256"))
        return Found("" if reason else sha256, reason)

    def at_url(self, url: str) -> Found:
        limits = self._limits
        if limits is None:
            return Found("", URL_UNSUPPORTED)
        return Found("", _refusal(lambda: parse_url(url, limits.ports)))

    def in_object(self, key: str) -> Found:
        return Found("", _refusal(lambda: incoming_key(key)))


def urls_in(lines: Iterable[bytes | None]) -> Iterator[str]:
    """The addresses of images that some lines name, without raising anything about the lines.

    Rows of uploaded images cost a search for five bytes.
    """
    for line in lines:
        if line is None or b'"url"' not in line:
            continue
        try:
            row = json.loads(line.decode())
        except (ValueError, RecursionError):
            continue
        entries = row.get("images") if isinstance(row, dict) else None
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and names_url(entry):
                yield entry["url"]


def names_url(entry: dict[str, Any]) -> bool:
    """Whether an image entry is to be fetched: hashes and errors of the client go first."""
    return (
        "error" not in entry
        and not isinstance(entry.get("sha256"), str)
        and isinstance(entry.get("url"), str)
    )


def _parsed(urls: Iterable[str], limits: FetchLimits) -> Iterator[Url]:
    for url in urls:
        try:
            yield parse_url(url, limits.ports)
        except Refused:
            continue


def _refusal(check: Callable[[], object]) -> str:
    try:
        check()
    except (InvalidArgument, Refused) as error:
        return error.reason
    return ""
