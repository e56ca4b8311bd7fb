"""Cells of delimited lines, where quotes may be missing."""

import csv
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from shelflens.manifests.fields import shown
from shelflens.manifests.rows import MAX_CELL, MAX_LINE, Problem

_MAX_DELIMITERS = 4 * MAX_CELL  # in one line; a cell of that many empty cells costs memory


class _LineTooLong(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that cannot be read, and the cells before the place where it breaks."""

    problem: Problem
    cells: list[str]


class Cells:
    """The cells of each record, Broken for each that cannot be read. Empty lines are skipped.

    A quote that does not close within 16 Mi characters (or at all) is taken for a stray one: its
    line is Broken and reading goes on at the next line, so one typing error does not swallow
    the file. `unclosed` tells that the text ended inside a quote.
    """

    def __init__(self, lines: Iterator[str | None], delimiter: str, width: int) -> None:
        """`width` is the usual number of cells."""
        # The limit belongs to the process, so it is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
        self._feed = _Feed(lines, delimiter)
        self._reader = csv.reader(self._feed, delimiter=delimiter)
        self._delimiter = delimiter
        self._width = width
        self.unclosed = False

    def __iter__(self) -> Iterator[list[str] | Broken]:
        return self

    def __next__(self) -> list[str] | Broken:
        while True:
            self._feed.begin()
            try:
                record = next(self._reader)
            except (csv.Error, _LineTooLong):
                return self._feed.give_up()
            if self._feed.ended:  # inside a record: its quote never closed
                self.unclosed = True
                return self._feed.give_up()
            if self._feed.characters > MAX_CELL and self._is_stray(record):
                return self._feed.give_up()
            if record:
                return record

    def _is_stray(self, record: list[str]) -> bool:
        """Whether two stray quotes made one cell of all the lines between them."""
        if len(self._feed.taken) < 2 or all(len(cell) <= MAX_CELL for cell in record):
            return False
        lines = (each for each in self._feed.taken if each is not None)
        with suppress(csv.Error):  # strict: nothing but a delimiter may follow a closing quote
            strict = next(csv.reader(lines, delimiter=self._delimiter, strict=True), [])
            return len(strict) != self._width
        return True


class _Feed:
    """Lines for csv.reader, which can be put back."""

    def __init__(self, lines: Iterator[str | None], delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._again: deque[str | None] = deque()
        self.taken: list[str | None] = []
        self.characters = 0
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = self._again.popleft() if self._again else next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self.taken.append(line)
        if line is None:
            raise _LineTooLong
        self.characters += len(line)
        if self.characters > MAX_LINE or (
            len(line) > _MAX_DELIMITERS and line.count(self._delimiter) > _MAX_DELIMITERS
        ):
            raise _LineTooLong
        return line

    def begin(self) -> None:
        """A new record starts."""
        self.taken, self.characters, self.ended = [], 0, False

    def give_up(self) -> Broken:
        """Drops the first line of the record and puts the others back."""
        first, *others = self.taken
        self._again.extendleft(reversed(others))
        if first is None:
            return Broken(Problem("ROW_TOO_LONG", "", f"more than {MAX_LINE} characters"), [])
        cells = first[:MAX_CELL].partition('"')[0].split(self._delimiter)[:-1]
        if others or self.ended:
            return Broken(Problem("UNCLOSED_QUOTE", "", shown(first)), cells)
        many = f"millions of cells: {shown(first)}"
        return Broken(Problem("WRONG_COLUMN_COUNT", "", many), cells[:1])
