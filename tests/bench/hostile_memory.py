"""What an import of hostile files takes beyond one of good files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shelflens.values import ImportCounts
from tests.bench.figures import Figure, Outcome, at_least, at_most
from tests.bench.memory import PeakMemory
from tests.bench.servers import CATALOG, fresh_server
from tests.hostile.folders import good_picture, write_rows
from tests.hostile.images import IMAGES
from tests.hostile.kinds import HostileImage

_FILES = 500
_HEAVY_ROUNDS = 2  # files of each kind that takes seconds
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class _Import:
    peak: int
    counts: ImportCounts
    reasons: int  # rows of the report with a reason
    answers: bool  # whether the server searches afterwards


def hostile_memory(data: Path | None) -> Iterator[Outcome]:
    """Peaks over all processes of the server; `data` is not used."""
    good = _import([good_picture(number) for number in range(_FILES)])
    hostile = _import(_hostile_files())
    accounted = hostile.counts.rows_accepted + hostile.reasons
    extra = (hostile.peak - good.peak) / _MB
    yield Figure("memory of 500 hostile files beyond 500 good ones", extra, "MB", at_most(600))
    yield Figure("hostile files accounted for", accounted, "files", at_least(_FILES))
    yield Figure("the server searches afterwards", float(hostile.answers), "", at_least(1))
    yield Figure("hostile files refused", hostile.counts.rows_rejected, "files")
    yield Figure("good files accepted", good.counts.rows_accepted, "files", at_least(_FILES))
    yield Figure("peak with 500 good files", good.peak / _MB, "MB")
    yield Figure("peak with 500 hostile files", hostile.peak / _MB, "MB")


def _hostile_files() -> Iterator[bytes]:
    """Kind after kind, in turn, until there are enough."""
    made = 0
    for turn in range(_FILES):
        for kind in _of_turn(turn):
            if made == _FILES:
                return
            yield kind.make(turn)
            made += 1


def _of_turn(turn: int) -> Iterator[HostileImage]:
    return (kind for kind in IMAGES if turn < _HEAVY_ROUNDS or not kind.heavy)


def _import(files: "Iterator[bytes] | list[bytes]") -> _Import:
    with fresh_server() as server, server.client() as client:
        root = server.data.with_name("files")
        root.mkdir()
        rows = []
        for number, content in enumerate(files):
            (root / f"{number}.jpg").write_bytes(content)
            rows.append((f"SKU-{number}", f"{number}.jpg"))
        manifest = write_rows(root / "products.csv", rows)
        with PeakMemory({"server": server.tree}) as memory:
            operation = client.import_products(CATALOG, manifest).raise_for_error()
        reasons = sum(operation.counts.rejected_by_reason.values())
        answers = bool(client.search(CATALOG, good_picture(1)).results)
        return _Import(memory.peak, operation.counts, reasons, answers)
