"""What the catalogues must hold after everything that was acknowledged, in order of revisions."""

import csv
import io
from collections import defaultdict
from dataclasses import dataclass, field

from shelflens import Client
from shelflens.values import Operation
from tests.chaos.feeds import FeedRow, Version
from tests.chaos.journal import Journal

# Reasons for which a good row may be rejected: faults that outlasted all repeats.
PASSING = frozenset({"RETRIES_EXHAUSTED", "DELIVERY_LIMIT", "TOO_LARGE", "BAD_MESSAGE", "REJECTED"})


@dataclass(frozen=True, slots=True)
class Imported:
    """A finished import, acknowledged or found. `rejected` has row numbers and reasons, `refused`
    those of single images whose rows went in."""

    operation: Operation
    version: Version
    prune: bool
    rejected: dict[int, str]
    refused: dict[int, str]

    @property
    def sacrificed(self) -> int:
        """Good rows that were rejected because a fault outlasted the repeats."""
        rows = self.version.rows
        return sum(not rows[number - 1].bad for number in self.rejected)

    def violations(self) -> list[str]:
        """Whatever does not add up."""
        name, rows, counts = self.version.name, self.version.rows, self.operation.counts
        found = []
        if self.operation.state != "SUCCEEDED":
            found.append(f"import {name} ended {self.operation.state}: {self.operation.error}")
        if counts.rows_read != len(rows):
            found.append(f"import {name} read {counts.rows_read} of {len(rows)} rows")
        if counts.rows_accepted + counts.rows_rejected != len(rows):
            found.append(
                f"import {name}: {counts.rows_accepted} accepted + {counts.rows_rejected} "
                f"rejected are not {len(rows)} rows"
            )
        if len(self.rejected) != counts.rows_rejected:
            found.append(
                f"import {name} counts {counts.rows_rejected} rejected rows, and reports "
                f"{len(self.rejected)}"
            )
        for number, row in enumerate(rows, 1):
            reason = self.rejected.get(number, "")
            if row.bad and not reason:
                found.append(f"import {name} took row {number}, which is bad: {row}")
            if not row.bad and reason and reason not in PASSING:
                found.append(f"import {name} rejected row {number}, which is good: {reason}")
        return found

    def accepted(self) -> dict[str, list[FeedRow]]:
        """Rows that went in, by SKU."""
        found = defaultdict(list)
        for number, row in enumerate(self.version.rows, 1):
            if number not in self.rejected and not row.bad:
                found[row.sku].append(row)
        return dict(found)


@dataclass(slots=True)
class Expected:
    """A product. `titles` are those that it may have; `images` is None where writes of several
    kinds met and only titles are compared."""

    titles: set[str] = field(default_factory=set)
    alive: bool | None = False  # None: either
    images: set[str] | None = None
    revision: int = 0


def read_imports(client: Client, journal: Journal) -> tuple[list[Imported], list[str]]:
    """Every import that the server knows, oldest first, and acknowledged ones that it does not."""
    started = {each.version.name: each for each in journal.imports}
    found, acknowledged = [], {each.operation for each in journal.imports if each.operation}
    for operation in client.list_operations():
        known = started.get(operation.display_name.removesuffix(".csv"))
        if operation.kind != "import" or known is None:
            continue
        acknowledged.discard(operation.name)
        report = b"".join(client.download_import_errors(operation.name)) if operation.done else b""
        rejected, refused = _rejections(report.decode())
        found.append(Imported(operation, known.version, known.prune, rejected, refused))
    found.sort(key=lambda each: each.operation.revision)
    return found, [f"{each} was acknowledged and is not known" for each in acknowledged]


def expect(catalog: str, imports: list[Imported], journal: Journal) -> dict[str, Expected]:
    """The products of a catalogue by SKU."""
    products: defaultdict[str, Expected] = defaultdict(Expected)
    events: list[tuple[int, Imported | tuple[str, str | None]]] = [
        (each.operation.revision, each)
        for each in imports
        if each.operation.catalog == f"catalogs/{catalog}"
    ]
    edited = [each for each in journal.writes if each.catalog == catalog]
    events += [(each.revision, (each.sku, each.title)) for each in edited if each.revision]
    for revision, event in sorted(events, key=lambda each: each[0]):
        if isinstance(event, Imported):
            _import(products, event, revision)
        else:
            _write(products[event[0]], event[1], revision)
    for each in edited:
        products[each.sku].images = None
        if each.revision is None:
            _maybe(products[each.sku], each.title)
    return dict(products)


def _import(products: defaultdict[str, Expected], event: Imported, revision: int) -> None:
    listed = {row.sku for row in event.version.rows}
    for sku, rows in event.accepted().items():
        product = products[sku]
        product.titles, product.alive, product.revision = {rows[0].title}, True, revision
        numbers = [n for n, row in enumerate(event.version.rows, 1) if row.sku == sku]
        whole = not any(n in event.rejected or n in event.refused for n in numbers)
        product.images = {each for row in rows for each in row.sha256s} if whole else None
    result = event.operation.prune
    if event.prune and result is not None and not result.refusal:
        for sku, product in products.items():
            if sku not in listed and product.alive and product.revision < revision:
                product.alive, product.revision = False, revision


def _write(product: Expected, title: str | None, revision: int) -> None:
    product.alive, product.revision = title is not None, revision
    product.titles = {title} if title is not None else set()


def _maybe(product: Expected, title: str | None) -> None:
    """A write that nobody acknowledged: it has happened or not."""
    if title is not None:
        product.titles.add(title)
    if title is None or not product.alive:
        product.alive = None


def _rejections(report: str) -> tuple[dict[int, str], dict[int, str]]:
    rejected: dict[int, str] = {}
    refused: dict[int, str] = {}
    for line in csv.DictReader(io.StringIO(report)):
        whole = line["row_rejected"].lower() in ("true", "1")
        (rejected if whole else refused)[int(line["row"])] = line["reason"]
    return rejected, refused
