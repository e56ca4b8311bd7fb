"""Evaluations no longer show what was erased; their figures stay."""

from collections.abc import Iterator, Set
from dataclasses import replace

from services.core.domain import keys
from services.core.domain.errors import NotFound
from services.core.domain.operations import Operation
from services.core.evaluation_ports import Evaluation
from services.core.object_removal import remove_below
from services.core.ports import ObjectStore
from services.core.record_ports import Records, RecordStore

_PAGE = 100


def scrub_pictures(records: RecordStore, objects: ObjectStore, erasure: Operation) -> bool:
    """Removes the failures' pictures and the report of every evaluation that shows an erased image.

    False while one that shows it is still being done: call it again later.
    """
    with records.begin() as tx:
        hashes = erasure.request["sha256s"]
        gone = set(hashes) - tx.erasing.shown(hashes)
    through = True
    for evaluation in _showing(records, gone):
        if evaluation.state.done:
            _scrub(records, objects, evaluation)
        else:
            through = False
    return through


def _showing(records: RecordStore, gone: Set[str]) -> Iterator[Evaluation]:
    after = ""
    while gone:
        with records.begin() as tx:
            page = tx.evaluations.page(after, _PAGE)
            found = [each for each in page if _shows(tx, each, gone)]
        yield from found
        if len(page) < _PAGE:
            return
        after = page[-1].id


def _shows(tx: Records, evaluation: Evaluation, gone: Set[str]) -> bool:
    try:
        operation = tx.operations.get(evaluation.operation)
    except NotFound:
        return bool(evaluation.report)  # nobody knows any more: it may
    for sequence in operation.result.get("measured", {}).values():
        shard = tx.shards.get(operation.id, sequence)
        pairs = shard.notes.get("pairs", ()) if shard is not None else ()
        if any(not gone.isdisjoint(pair) for pair in pairs):
            return True
    return False


def _scrub(records: RecordStore, objects: ObjectStore, evaluation: Evaluation) -> None:
    """Files first: after a kill in between it is done again."""
    for number in range(len(evaluation.models)):
        prefix = keys.failure_pictures(keys.results_prefix(evaluation.id, number))
        remove_below(objects, prefix)
    if not evaluation.report:
        return
    objects.delete(evaluation.report)
    with records.begin(write=True) as tx:
        try:
            stored = tx.evaluations.get(evaluation.id)
        except NotFound:
            return
        tx.evaluations.save(replace(stored, report=""))
