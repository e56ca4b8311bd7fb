"""What earlier imports learned about an address, so that a nightly feed downloads only changes."""

import json
import time
from dataclasses import asdict, dataclass, fields
from typing import Any

from services.core.domain.errors import DataLoss, InvalidArgument, NotFound
from services.core.domain.keys import image_key, remembered_url_key
from services.core.ports import ObjectStore
from services.ingestion.fetching.answers import Validators
from services.ingestion.fetching.urls import Url


@dataclass(frozen=True, slots=True)
class Remembered:
    """The image `sha256` came from an address, by redirects perhaps from `final`.

    `etag` and `last_modified` are the answer's, `fresh_until` (seconds since the epoch) its promise
    not to change.
    """

    sha256: str
    final: str
    etag: str = ""
    last_modified: str = ""
    fresh_until: float = 0.0

    @property
    def fresh(self) -> bool:
        """Whether the host need not be asked."""
        return time.time() < self.fresh_until

    def validators(self, url: Url) -> Validators:
        """To send to `url`: those of another address say nothing about it."""
        if str(url) != self.final:
            return Validators()
        return Validators(self.etag, self.last_modified)


class UrlMemory:
    """One small object per address. It only saves work: it may be lost or removed at any time."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def recall(self, url: Url) -> Remembered | None:
        """None when nothing is known, or the image itself is no longer stored."""
        try:
            known = _read(self._objects.get(remembered_url_key(str(url))))
            if known is None or self._objects.size(image_key(known.sha256)) is None:
                return None
        except (NotFound, DataLoss, InvalidArgument):
            return None
        return known

    def keep(self, url: Url, learned: Remembered) -> None:
        """Replaces what was known. The image must be stored already."""
        self._objects.put(remembered_url_key(str(url)), json.dumps(asdict(learned)).encode())


def _read(data: bytes) -> Remembered | None:
    try:
        values: Any = json.loads(data)
        known = Remembered(**{each.name: values[each.name] for each in fields(Remembered)})
        texts = (known.sha256, known.final, known.etag, known.last_modified)
        good = all(isinstance(each, str) for each in texts)
        return known if good and isinstance(known.fresh_until, (int, float)) else None
    except (ValueError, KeyError, TypeError):
        return None
