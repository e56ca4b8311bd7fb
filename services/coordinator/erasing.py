"""Erasing: removes what a deleted product or image leaves behind, in an order that survives a kill.

The tombstones were set when the operation was accepted, and its index plan has removed the points.
Then, in passes that may be repeated at any time:

1. The rows of the images leave the embedding files: a file without them is written under a new
   key, the records point to it. From now on nobody can reuse these embeddings.
2. The pictures are deleted, also where users sent them with feedback. A worker that looks for one
   now finds it missing: an evaluation on a dataset that names it goes on without it.
3. Shards that were under way may still hold a picture, or read an old embedding file. Once they are
   through, another pass finds nothing, or what they left.
4. The old embedding files are deleted, evaluations no longer show the images, and error reports no
   longer name them.

A picture that an image which is not deleted shows too, in any catalogue, stays with its embedding.
"""

from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import structlog

from services.coordinator.duplicates import keep_out
from services.coordinator.feedback_photos import forget_photo
from services.coordinator.picture_scrubbing import scrub_pictures
from services.coordinator.report_scrubbing import scrub_reports
from services.coordinator.step import Step
from services.core.content_ports import EmbeddingFile, UnderWay
from services.core.domain import keys
from services.core.domain.errors import Aborted, DataLoss, NotFound
from services.core.domain.operations import Operation
from services.core.ports import ObjectStore
from services.core.record_ports import Records, RecordStore
from services.core.shard_files import read_embeddings, write_embeddings
from services.core.stored_images import forget, has_traces
from services.core.work_ports import Stage

_KEY = "erasing"
_PAGE = 16  # images in one transaction: each may mean to write one embedding file anew
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Progress:
    """Kept within the operation's result until its end."""

    rows: int = 0  # of embedding files that are gone
    written: int = 0  # new embedding files
    old_files: list[str] = field(default_factory=list)
    awaited: list[list[Any]] = field(default_factory=list)  # operation, sequence, message
    waiting: bool = False


def start_erasing(step: Step) -> None:
    """Notes what there is to erase, and plans the removal of the points."""
    operation, tx = step.operation, step.tx
    product, hashes = operation.request["product"], operation.request["sha256s"]
    # What an earlier erasure removed is not counted again.
    there = {each for each in hashes if has_traces(step.objects, each)}
    there |= {each.photo for each in tx.feedback.with_photos(hashes)}
    for file in tx.erasing.files_of(hashes):
        there |= tx.erasing.rows_of(file, hashes).keys()
    tx.embeddings.claim(operation.id, sorted(there))
    # Also those whose plan failed after an earlier delete.
    tx.imports.planned(operation.catalog, [(product, each) for each in hashes], None)
    # Without its catalogue the points are gone with the collection.
    with suppress(NotFound):
        keep_out(step, [product])
        step.plan([product])


def erase(
    records: RecordStore, objects: ObjectStore, operation: Operation
) -> dict[str, Any] | None:
    """Goes on with an erasure whose points are gone; its result, or None: call it again later."""
    progress = _Progress(**operation.result.get(_KEY, {}))
    if progress.waiting:
        with records.begin() as tx:
            now = {(each.operation, each.sequence, each.message) for each in tx.erasing.under_way()}
        if now.intersection(tuple(each) for each in progress.awaited):
            return None
    before = (progress.rows, progress.written)
    shared = _erase_all(records, objects, operation, progress)
    if not progress.waiting or before != (progress.rows, progress.written):
        _note_under_way(records, operation, progress)
        if progress.awaited:
            return None
    for key in (*progress.old_files, *_remembered(operation)):
        objects.delete(key)
    if not scrub_pictures(records, objects, operation):
        return None
    scrub_reports(records, objects, operation)
    _log.info("erased", operation=operation.id, embeddings=progress.rows, shared=shared)
    return {
        "image_count": operation.request["images"],
        "object_count": _count(records, operation) - shared + progress.rows,
        "shared_count": shared,
    }


def forget_details(operation: Operation) -> None:
    """An ended erasure keeps the name that it was asked for, and nothing else of the images."""
    kept = ("product", "target")
    operation.request = {name: operation.request[name] for name in kept}
    operation.result.pop(_KEY, None)


def _erase_all(
    records: RecordStore, objects: ObjectStore, operation: Operation, progress: _Progress
) -> int:
    """One pass over the images; returns how many pictures stay because others show them."""
    after, shared = "", 0
    while True:
        with records.begin(write=True) as tx:
            _refresh(tx, operation, progress)
            page = tx.erasing.claimed(operation.id, after, _PAGE)
            kept = tx.erasing.shown(page)
            gone = [each for each in page if each not in kept]
            for file in tx.erasing.files_of(gone):
                _rewrite(tx, objects, operation, file, gone, progress)
            tx.erasing.forget_refusals(gone)
            tx.erasing.scrub(operation.catalog, operation.request["product"], page)
            _save(tx, operation, progress)
        for sha256 in gone:
            _delete_picture(records, objects, sha256)
        shared += len(kept)
        if len(page) < _PAGE:
            return shared
        after = page[-1]


def _rewrite(
    tx: Records,
    objects: ObjectStore,
    operation: Operation,
    file: EmbeddingFile,
    gone: list[str],
    progress: _Progress,
) -> None:
    """Writes the file anew without the rows of `gone`."""
    progress.old_files.append(file.key)
    progress.rows += len(tx.erasing.rows_of(file, gone))
    try:
        old = read_embeddings(objects.get(file.key))
    except (NotFound, DataLoss) as error:
        # Nobody can read the others' rows either: they will be embedded again.
        _log.warning("erase.file_lost", key=file.key, reason=error.reason)
        tx.erasing.forget_file(file)
        return
    rows = tx.erasing.rows_of(file, old.sha256s)
    kept = sorted(rows.keys() - set(gone), key=rows.__getitem__)
    key = keys.embeddings_key(file.digest, operation.id, progress.written)
    if kept:
        at = [rows[sha256] for sha256 in kept]
        objects.put(key, write_embeddings(old.take(at)))
        progress.written += 1
    tx.erasing.move(file, key, kept, gone)


def _delete_picture(records: RecordStore, objects: ObjectStore, sha256: str) -> None:
    # Within a transaction: an image that is added meanwhile either is seen, or finds it missing.
    with records.begin(write=True) as tx:
        if not tx.erasing.shown([sha256]):
            forget(objects, sha256)
            forget_photo(tx, objects, sha256)


def _note_under_way(records: RecordStore, operation: Operation, progress: _Progress) -> None:
    with records.begin(write=True) as tx:
        mine = set(operation.request["sha256s"])
        _refresh(tx, operation, progress)
        progress.waiting = True
        progress.awaited = [
            [each.operation, each.sequence, each.message]
            for each in tx.erasing.under_way()
            if _matters(each, mine, progress, bool(_remembered(operation)))
        ]
        _save(tx, operation, progress)


def _matters(shard: UnderWay, mine: set[str], progress: _Progress, has_address: bool) -> bool:
    """Whether it may bring back a picture or an embedding, or needs an old embedding file."""
    match shard.stage:
        case Stage.INGEST:
            return has_address
        case Stage.EMBED:
            return not mine.isdisjoint(shard.sha256s)
        case _:
            return bool(progress.old_files)


def _refresh(tx: Records, operation: Operation, progress: _Progress) -> None:
    """Another coordinator may have gone on meanwhile: numbers of new files must stay unique."""
    stored = tx.operations.get(operation.id)
    if stored.state.done:
        raise Aborted(f"operations/{operation.id} was ended by another coordinator")
    now = _Progress(**stored.result.get(_KEY, {}))
    for each in fields(now):
        setattr(progress, each.name, getattr(now, each.name))


def _save(tx: Records, operation: Operation, progress: _Progress) -> None:
    stored = tx.operations.get(operation.id)
    stored.result = stored.result | {_KEY: asdict(progress)}
    tx.operations.save(stored)


def _remembered(operation: Operation) -> list[str]:
    """What is remembered about the addresses that the images came from."""
    addresses = [each for each in operation.request["sources"] if "://" in each]
    return [keys.remembered_url_key(each) for each in addresses]


def _count(records: RecordStore, operation: Operation) -> int:
    """How many pictures the operation claimed."""
    with records.begin() as tx:
        return len(tx.erasing.claimed(operation.id, "", len(operation.request["sha256s"]) + 1))
