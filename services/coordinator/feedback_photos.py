"""Users' photos that are kept with feedback: they go when their time has come.

Whatever decides that a photo is needed no longer deletes it within the same transaction: feedback
that keeps the same photo meanwhile either is seen, or finds the photo missing and stores it again.
"""

from datetime import datetime

import structlog

from services.core.domain import keys
from services.core.object_removal import remove_below
from services.core.ports import ObjectStore
from services.core.record_ports import Records, RecordStore

_PAGE = 100  # a tick: each may mean to delete one object
_log = structlog.get_logger(__name__)


def expire_photos(records: RecordStore, objects: ObjectStore, now: datetime) -> None:
    """Removes photos whose time has passed, unless other feedback of the catalogue needs them."""
    with records.begin() as tx:
        due = tx.feedback.expired(now, _PAGE)
    for feedback in due:
        with records.begin(write=True) as tx:
            if not tx.feedback.keeps_photo(feedback.catalog, feedback.photo, now):
                objects.delete(keys.feedback_photo_key(feedback.catalog, feedback.photo))
            tx.feedback.forget_photos([feedback.id])
    if due:
        _log.info("feedback.photos_expired", count=len(due))


def forget_photo(tx: Records, objects: ObjectStore, sha256: str) -> None:
    """Removes a photo from all feedback, in every catalogue."""
    kept = tx.feedback.with_photos([sha256])
    for catalog in {each.catalog for each in kept}:
        objects.delete(keys.feedback_photo_key(catalog, sha256))
    tx.feedback.forget_photos([each.id for each in kept])


def remove_unneeded(
    records: RecordStore, objects: ObjectStore, catalog: str, sha256: str, now: datetime
) -> None:
    """Removes a photo that no feedback needs."""
    with records.begin(write=True) as tx:
        if not tx.feedback.keeps_photo(catalog, sha256, now):
            objects.delete(keys.feedback_photo_key(catalog, sha256))


def remove_all(objects: ObjectStore, catalog: str) -> None:
    """Removes the photos of a catalogue that is being deleted; its feedback goes with its rows."""
    remove_below(objects, keys.feedback_prefix(catalog))
