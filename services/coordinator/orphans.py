"""Orphans: objects that a kill, a deletion or a late worker left behind and no record needs.

A sweep walks through the keys of one prefix after the other, one slice a tick. It removes

- `working/<operation>/` of operations that are done, or that do not exist;
- `manifests/` older than a grace time that no active operation names: also what was uploaded and
  never imported;
- `embeddings/` that a done operation left and no record refers to;
- `reports/<operation>/` of operations that do not exist;
- `queries/` that a gateway left: large photos of users;
- `models/uploads/` older than that time that no active operation names;
- `datasets/<dataset>/<build>/` older than that time unless it is what the dataset has now;
- `evaluations/<evaluation>/` of evaluations that do not exist;
- `feedback/` that no feedback needs: photos of users.

Every check reads the records after the key was seen, and nothing that is gone there comes back:
operations do not begin again, their ids are not used twice, and only a report of an active one
makes the records refer to an embeddings file. So sweeps of several coordinators may overlap, and be
killed anywhere. The age of what only its maker knows is told by the time within its id; what has
no such id is somebody else's and stays. Pictures stay too: a client may have been told a moment ago
that it need not send one which no product shows yet. Erasing removes them.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice

import structlog

from services.coordinator.feedback_photos import remove_unneeded
from services.coordinator.settings import CoordinatorLimits
from services.core.domain import names
from services.core.domain.errors import NotFound, ShelflensError
from services.core.domain.keys import FEEDBACK_PHOTOS, UPLOADED_WEIGHTS
from services.core.domain.operations import OperationKind
from services.core.ports import ObjectStore
from services.core.record_ports import Records, RecordStore

_log = structlog.get_logger(__name__)
_PHOTO = re.compile(FEEDBACK_PHOTOS + "[a-z0-9-]{1,63}/[0-9a-f]{64}")
_Check = Callable[["_Look", Sequence[str]], set[str]]


class Orphans:
    """Sweeps the object store now and then. Safe to call from many threads and processes."""

    def __init__(
        self, records: RecordStore, objects: ObjectStore, limits: CoordinatorLimits
    ) -> None:
        self._records = records
        self._objects = objects
        self._limits = limits
        self._lock = threading.Lock()
        self._keys: Iterator[tuple[str, str]] | None = None  # prefix, key; None between sweeps
        self._due: datetime | None = None
        self._removed = 0

    def sweep(self, now: datetime) -> None:
        """One slice, or nothing until the next sweep is due. Errors of the stores end the sweep."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._go_on(now)
        except ShelflensError as error:
            _log.warning("orphans.failed", reason=error.reason, error=error.message)
            self._keys = None
        finally:
            self._lock.release()

    def _go_on(self, now: datetime) -> None:
        if self._keys is None:
            if self._due is not None and now < self._due:
                return
            self._due = now + timedelta(seconds=self._limits.orphan_sweep)
            self._keys, self._removed = self._all_keys(), 0
        page = list(islice(self._keys, self._limits.orphan_keys))
        for key in self._orphaned(page, now):
            self._remove(key, now)
            self._removed += 1
        if len(page) < self._limits.orphan_keys:
            self._keys = None
            _log.info("orphans.swept", removed=self._removed)

    def _remove(self, key: str, now: datetime) -> None:
        if key.startswith(FEEDBACK_PHOTOS):
            # The same photo may have come again since the look.
            remove_unneeded(self._records, self._objects, _part(key, 1), _part(key, 2), now)
        else:
            self._objects.delete(key)

    def _all_keys(self) -> Iterator[tuple[str, str]]:
        return chain.from_iterable(
            ((prefix, key) for key in self._objects.keys(prefix)) for prefix in _CHECKS
        )

    def _orphaned(self, page: Sequence[tuple[str, str]], now: datetime) -> list[str]:
        found: set[str] = set()
        with self._records.begin() as tx:
            look = _Look(tx, now, now - timedelta(seconds=self._limits.orphan_grace))
            for prefix, check in _CHECKS.items():
                keys = [key for of, key in page if of == prefix]
                if keys:
                    found |= check(look, keys)
        return sorted(found)


@dataclass(frozen=True, slots=True)
class _Look:
    """The records now; what was made after `recent` may still be on its way into them."""

    tx: Records
    now: datetime
    recent: datetime

    def old(self, made_id: str) -> bool:
        made = names.made_at(made_id)
        return made is not None and made < self.recent

    def unknown(self, operations: set[str]) -> set[str]:
        """Those that do not exist."""
        return {each for each in operations if self.old(each) and not self._exists(each)}

    def ended(self, operations: set[str]) -> set[str]:
        """Those that are done, or do not exist."""
        return self.unknown(operations) | {each for each in operations if self._done(each)}

    def build(self, dataset: str) -> str:
        """Whose files the dataset has; empty where there is none."""
        try:
            return self.tx.datasets.get(dataset).build
        except NotFound:
            return ""

    def evaluated(self, evaluation: str) -> bool:
        """Whether it exists."""
        try:
            self.tx.evaluations.get(evaluation)
        except NotFound:
            return False
        return True

    def _exists(self, operation: str) -> bool:
        try:
            self.tx.operations.get(operation)
        except NotFound:
            return False
        return True

    def _done(self, operation: str) -> bool:
        try:
            return self.tx.operations.get(operation).state.done
        except NotFound:
            return False


def _of_ended(look: _Look, keys: Sequence[str]) -> set[str]:
    """working/<operation>/..."""
    ended = look.ended({_part(key, 1) for key in keys})
    return {key for key in keys if _part(key, 1) in ended}


def _of_unknown(look: _Look, keys: Sequence[str]) -> set[str]:
    """reports/<operation>/..."""
    unknown = look.unknown({_part(key, 1) for key in keys})
    return {key for key in keys if _part(key, 1) in unknown}


def _unnamed_manifests(look: _Look, keys: Sequence[str]) -> set[str]:
    """manifests/<catalog>/<manifest>"""
    old = {key for key in keys if look.old(_part(key, 2))}
    if not old:
        return old
    return old - {each.request.get("manifest", "") for each in look.tx.operations.active()}


def _unrecorded_embeddings(look: _Look, keys: Sequence[str]) -> set[str]:
    """embeddings/<digest>/<operation>/..."""
    # In this order: an operation that is done adds no more files to those that are known, and an
    # erasure that took one out of them is still active, or has waited for those who read it.
    ended = look.ended({_part(key, 2) for key in keys})
    left = [key for key in keys if _part(key, 2) in ended]
    if not left:
        return set()
    lost = set(left) - look.tx.erasing.known_files(left)
    kinds = {each.kind for each in look.tx.operations.active()} if lost else set()
    return set() if OperationKind.ERASE_CONTENT in kinds else lost


def _left_photos(look: _Look, keys: Sequence[str]) -> set[str]:
    """queries/<photo>"""
    return {key for key in keys if look.old(_part(key, 1))}


def _left_uploads(look: _Look, keys: Sequence[str]) -> set[str]:
    """models/uploads/<upload>"""
    old = {key for key in keys if look.old(_part(key, 2))}
    if not old:
        return old
    return old - {each.request.get("weights", "") for each in look.tx.operations.active()}


def _left_builds(look: _Look, keys: Sequence[str]) -> set[str]:
    """datasets/<dataset>/<build>/..."""
    made = {(_part(key, 1), _part(key, 2)) for key in keys}
    left = {each for each in made if look.old(each[1]) and look.build(each[0]) != each[1]}
    return {key for key in keys if (_part(key, 1), _part(key, 2)) in left}


def _left_results(look: _Look, keys: Sequence[str]) -> set[str]:
    """evaluations/<evaluation>/..."""
    old = {each for each in {_part(key, 1) for key in keys} if look.old(each)}
    left = {each for each in old if not look.evaluated(each)}
    return {key for key in keys if _part(key, 1) in left}


def _unneeded_photos(look: _Look, keys: Sequence[str]) -> set[str]:
    """feedback/<catalog>/<photo>"""
    kept = look.tx.feedback.keeps_photo
    ours = filter(_PHOTO.fullmatch, keys)
    return {key for key in ours if not kept(_part(key, 1), _part(key, 2), look.now)}


def _part(key: str, number: int) -> str:
    parts = key.split("/")
    return parts[number] if number < len(parts) else ""


_CHECKS: dict[str, _Check] = {
    "working/": _of_ended,
    "manifests/": _unnamed_manifests,
    "embeddings/": _unrecorded_embeddings,
    "reports/": _of_unknown,
    "queries/": _left_photos,
    UPLOADED_WEIGHTS: _left_uploads,
    "datasets/": _left_builds,
    "evaluations/": _left_results,
    FEEDBACK_PHOTOS: _unneeded_photos,
}
