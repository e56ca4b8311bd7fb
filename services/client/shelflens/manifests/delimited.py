"""CSV and TSV: quoted newlines, several delimiters, a header that is required."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from shelflens.errors import InvalidManifest
from shelflens.manifests.decoding import TextFile, is_cut_off
from shelflens.manifests.fields import as_text, shown
from shelflens.manifests.quoting import Broken, Cells
from shelflens.manifests.records import Numbered, Record
from shelflens.manifests.rows import MAX_LINE, Problem

DELIMITERS = ",;\t|^~\x01\x1f"
MAX_COLUMNS = 10_000
_ANNOUNCED = re.compile(r'"?sep=([^\w"\s]|\t)"?[\r\n]+')
_SNIFF_LINES = 50
_SNIFF_CHARACTERS = 1 << 20


class DelimitedRecords:
    """Records of a CSV or TSV file, column -> text. Empty lines are no records."""

    open_ended = False

    def __init__(self, path: Path, delimiter: str = "") -> None:
        """Raises InvalidManifest for files without a usable header."""
        self._path = path
        self._reading: TextFile | None = None
        self._share = 0.0
        self._complete = False
        file = TextFile(path, newline="")
        try:
            sample = _sample(path, file)
        finally:
            file.close()
        # Spreadsheets may say the delimiter in a line of its own.
        announced = _ANNOUNCED.fullmatch(sample[0]) if sample else None
        self._lines_before = 1 if announced else 0
        sample = sample[self._lines_before :]
        self._delimiter = announced[1] if announced else delimiter or sniff(sample)
        self.columns: Sequence[str] = _header(path, sample, self._delimiter)
        self.notes: Sequence[str] = file.notes
        self.folder = path.parent

    def read(self, used: Sequence[str]) -> Iterator[Numbered]:
        file = self._reading = TextFile(self._path, newline="")
        self._complete = False
        try:
            lines = islice(file.lines(), self._lines_before, None)
            cells = Cells(lines, self._delimiter, len(self.columns))
            header = next(cells, None)
            last: list[str] | Broken | None = header
            for number, last in enumerate(cells, 1):
                yield number, self._record(last)
            broken = last is header or self._is_broken(last)
            self._complete = not cells.unclosed and not is_cut_off(file, broken)
        finally:
            file.close()
            self._reading, self._share = None, 1.0

    def closing_notes(self) -> Sequence[str]:
        return ()

    def position(self) -> float:
        return self._reading.position() if self._reading else self._share

    def complete(self) -> bool:
        return self._complete

    def _is_broken(self, record: list[str] | Broken | None) -> bool:
        return not isinstance(record, list) or len(record) != len(self.columns)

    def _record(self, record: list[str] | Broken) -> Record:
        if isinstance(record, Broken):
            known = dict(zip(self.columns, record.cells, strict=False))
            return replace(record.problem, known=known)
        if len(record) != len(self.columns):
            found = f"{len(record)} cells, {len(self.columns)} columns: "
            value = found + shown(self._delimiter.join(record[:200])[:200])
            known = dict(zip(self.columns, record, strict=False))
            return Problem("WRONG_COLUMN_COUNT", "", value, known)
        return dict(zip(self.columns, record, strict=True))


def sniff(sample: Sequence[str]) -> str:
    """The delimiter that cuts the header, and then most rows, into the same number of cells."""
    best, best_score = ",", (0.0, 0)
    header = next((line for line in sample if line.strip()), "")
    for delimiter in DELIMITERS:
        if delimiter not in header:
            continue
        widths = [len(record) for record in _parse(sample, delimiter) if record]
        if not widths or widths[0] < 2:
            continue
        score = (widths.count(widths[0]) / len(widths), widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _sample(path: Path, file: TextFile) -> list[str]:
    sample: list[str] = []
    characters = 0
    for line in file.lines():
        if line is None:
            break
        sample.append(line)
        characters += len(line)
        if len(sample) >= _SNIFF_LINES or characters >= _SNIFF_CHARACTERS:
            return sample
    if not sample and file.size:
        raise InvalidManifest(
            f"{path} has no header line: its first line has more than {MAX_LINE} characters",
            reason="HEADER_MISSING",
        )
    return sample


def _parse(sample: Sequence[str], delimiter: str) -> list[list[str]]:
    records: list[list[str]] = []
    with suppress(csv.Error):
        records.extend(csv.reader(sample, delimiter=delimiter))
    return records


def _header(path: Path, sample: Sequence[str], delimiter: str) -> list[str]:
    header = next((record for record in _parse(sample, delimiter) if record), [])
    if not any(cell.strip() for cell in header):
        raise InvalidManifest(
            f"{path} has no header line: the first line must name the columns",
            reason="HEADER_MISSING",
        )
    if any("\0" in cell for cell in header):
        raise InvalidManifest(f"{path} is not text")
    if len(header) > MAX_COLUMNS:
        raise InvalidManifest(
            f"{path} has {len(header)} columns; at most {MAX_COLUMNS} are read, so leave out those "
            "that are not needed",
            reason="TOO_MANY_COLUMNS",
        )
    # Spreadsheets leave nameless columns at the end.
    named = [as_text(cell.strip()) or f"column {place}" for place, cell in enumerate(header, 1)]
    twice = next((each for each, count in Counter(named).items() if count > 1), None)
    if twice is not None:
        raise InvalidManifest(
            f"{path} has two columns '{twice[:200]}': rename one", reason="COLUMN_TWICE"
        )
    return named
