"""Reports of past imports no longer name what was erased."""

from collections.abc import Iterable, Iterator
from typing import Any

from services.core import error_report
from services.core.domain import keys
from services.core.domain.operations import Operation, OperationKind
from services.core.ports import ObjectStore
from services.core.record_ports import RecordStore

_PAGE = 100
_SHOWN = 200  # characters of a value in a report


def scrub_reports(records: RecordStore, objects: ObjectStore, erasure: Operation) -> None:
    """Empties SKU and value of the lines about the product, or about the image alone.

    Lines keep their row number and reason: a report still adds up to the counts of its import.
    """
    request = erasure.request
    sku, named = request["sku"], (*request["sources"], *request["sha256s"])
    sources = None if request["whole"] else frozenset(each[:_SHOWN] for each in named)
    for operation in _imports(records, erasure.catalog):
        _scrub_file(objects, keys.report_key(operation), sku, sources)
        _scrub_result(records, operation, sku, sources)


def _imports(records: RecordStore, catalog: str) -> Iterator[str]:
    """Ids of finished imports and dry runs of the catalogue that say anything about products."""
    after = ""
    while True:
        with records.begin() as tx:
            page = tx.operations.page(after, _PAGE, catalog)
        for each in page:
            told = each.result.get("errors_uri") or each.result.get("changes")
            if each.kind is OperationKind.IMPORT and each.state.done and told:
                yield each.id
        if len(page) < _PAGE:
            return
        after = page[-1].id


def _scrub_file(objects: ObjectStore, key: str, sku: str, sources: frozenset[str] | None) -> None:
    # Looked at first: a report that does not name it is neither parsed nor written again.
    if objects.size(key) is None or not _mentions(objects.stream(key), sku):
        return
    if any(hit for _, hit in error_report.without(objects.stream(key), sku, sources)):
        lines = error_report.without(objects.stream(key), sku, sources)
        objects.put_stream(key, (line for line, _ in lines))


def _mentions(pieces: Iterable[bytes], sku: str) -> bool:
    needle = sku.replace('"', '""').encode()
    seen = b""
    for piece in pieces:
        seen = seen[-len(needle) :] + piece
        if needle in seen:
            return True
    return False


def _scrub_result(
    records: RecordStore, operation: str, sku: str, sources: frozenset[str] | None
) -> None:
    with records.begin(write=True) as tx:
        stored = tx.operations.get(operation)
        lines = stored.result.get("rejections", ())
        hits = sum(_scrub_line(line, sku, sources) for line in lines)
        for change in stored.result.get("changes", ()) if sources is None else ():
            if change["sku"] == sku:
                change["sku"], hits = error_report.ERASED, hits + 1
        if hits:
            tx.operations.save(stored)


def _scrub_line(line: dict[str, Any], sku: str, sources: frozenset[str] | None) -> bool:
    if line.get("sku", "").strip() != sku or (sources is not None and line["value"] not in sources):
        return False
    line["sku"] = line["value"] = error_report.ERASED
    return True
