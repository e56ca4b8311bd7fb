"""CSV and TSV: quoted newlines, any of four delimiters, a header that is required."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from shelflens.errors import InvalidManifest
from shelflens.manifests.columns import ColumnMap
from shelflens.manifests.decoding import TextFile
from shelflens.manifests.fields import make_row, shown
from shelflens.manifests.rows import MAX_CELL, MAX_LINE, Problem, SourceRow

DELIMITERS = ",;\t|"
_SNIFF_LINES = 50
_SNIFF_CHARACTERS = 1 << 20


class DelimitedRows:
    """Rows of a CSV or TSV file. Empty lines are no rows."""

    def __init__(self, path: Path, columns: ColumnMap, separator: str, delimiter: str = "") -> None:
        """Raises InvalidManifest for files without a usable header."""
        self._path = path
        self._separator = separator
        self._reading: TextFile | None = None
        self._share = 0.0
        file = TextFile(path, newline="")
        try:
            sample = _sample(file)
        finally:
            file.close()
        self._delimiter = delimiter or sniff(sample)
        self._header = _header(path, sample, self._delimiter)
        self._binding = columns.bind(self._header)
        notes = [f"encoding: {file.encoding.note}"] if file.encoding.note else []
        self.notes: Sequence[str] = [*notes, *self._binding.describe()]
        self.folder = path.parent

    def __iter__(self) -> Iterator[SourceRow]:
        file = self._reading = TextFile(self._path, newline="")
        try:
            records = _Records(file.lines(), self._delimiter)
            next(records)  # the header
            for number, record in enumerate(records, 1):
                yield self._row(number, record)
        finally:
            file.close()
            self._reading, self._share = None, 1.0

    def closing_notes(self) -> Sequence[str]:
        return ()

    def position(self) -> float:
        return self._reading.position() if self._reading else self._share

    def _row(self, number: int, record: list[str] | Problem) -> SourceRow:
        if isinstance(record, Problem):
            return SourceRow(number, problem=record)
        if len(record) != len(self._header):
            found = f"{len(record)} cells, {len(self._header)} columns: "
            value = found + shown(self._delimiter.join(record)[:200])
            return SourceRow(number, problem=Problem("WRONG_COLUMN_COUNT", "", value))
        named = dict(zip(self._header, record, strict=True))
        return make_row(number, named, self._binding, self._separator)


def sniff(sample: Sequence[str]) -> str:
    """The delimiter that cuts the header, and then most rows, into the same number of cells."""
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = [len(record) for record in _parse(sample, delimiter) if record]
        if not widths or widths[0] < 2:
            continue
        score = (widths.count(widths[0]) / len(widths), widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _sample(file: TextFile) -> list[str]:
    sample: list[str] = []
    characters = 0
    for line in file.lines():
        if line is None:
            break
        sample.append(line)
        characters += len(line)
        if len(sample) >= _SNIFF_LINES or characters >= _SNIFF_CHARACTERS:
            break
    return sample


def _parse(sample: Sequence[str], delimiter: str) -> list[list[str]]:
    records: list[list[str]] = []
    with suppress(csv.Error):
        records.extend(csv.reader(sample, delimiter=delimiter))
    return records


def _header(path: Path, sample: Sequence[str], delimiter: str) -> list[str]:
    header = next((record for record in _parse(sample, delimiter) if record), [])
    if not any(cell.strip() for cell in header):
        raise InvalidManifest(f"{path} has no header line", reason="HEADER_MISSING")
    if any("\0" in cell for cell in header):
        raise InvalidManifest(f"{path} is not text")
    # Spreadsheets leave nameless columns at the end.
    named = [cell.strip() or f"column {place}" for place, cell in enumerate(header, 1)]
    if len(set(named)) < len(named):
        twice = next(each for each in named if named.count(each) > 1)
        raise InvalidManifest(f"{path} has two columns '{twice}'", reason="COLUMN_TWICE")
    return named


class _LineTooLong(Exception):
    pass


class _Records:
    """Records of a delimited file, a Problem for each that cannot be read.

    A quote that does not close within 1 MiB (or at all) is taken for a stray one: its line is a
    Problem and reading goes on at the next line, so one typing error does not swallow the file.
    """

    def __init__(self, lines: Iterator[str | None], delimiter: str) -> None:
        # The limit belongs to the process, so it is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
        self._feed = _Feed(lines)
        self._reader = csv.reader(self._feed, delimiter=delimiter)

    def __iter__(self) -> Iterator[list[str] | Problem]:
        return self

    def __next__(self) -> list[str] | Problem:
        while True:
            self._feed.begin()
            try:
                record = next(self._reader)
            except (csv.Error, _LineTooLong):
                return self._feed.give_up()
            if self._feed.ended:  # inside a record: its quote never closed
                return self._feed.give_up()
            if record:
                return record


class _Feed:
    """Lines for csv.reader, which can be put back."""

    def __init__(self, lines: Iterator[str | None]) -> None:
        self._lines = lines
        self._again: deque[str | None] = deque()
        self._taken: list[str | None] = []
        self._characters = 0
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = self._again.popleft() if self._again else next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self._taken.append(line)
        if line is None:
            raise _LineTooLong
        self._characters += len(line)
        if self._characters > MAX_LINE:
            raise _LineTooLong
        return line

    def begin(self) -> None:
        """A new record starts."""
        self._taken, self._characters, self.ended = [], 0, False

    def give_up(self) -> Problem:
        """Drops the first line of the record and puts the others back."""
        first, *others = self._taken
        self._again.extendleft(reversed(others))
        if first is None:
            return Problem("ROW_TOO_LONG", "", f"a line of more than {MAX_LINE} characters")
        reason = "UNCLOSED_QUOTE" if others or self.ended else "CELL_TOO_LARGE"
        return Problem(reason, "", shown(first))
