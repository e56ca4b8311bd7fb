"""JSON Lines: one object a line."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from shelflens.errors import InvalidManifest
from shelflens.manifests.columns import ColumnMap
from shelflens.manifests.decoding import TextFile
from shelflens.manifests.fields import make_row, shown
from shelflens.manifests.rows import MAX_LINE, Problem, SourceRow

_LOOK_AT_LINES = 1_000


class JsonLinesRows:
    """Rows of a JSON Lines file. Empty lines are no rows.

    The columns are the keys of the first 1,000 objects. An object that lacks one leaves that field
    as it is stored; null empties it.
    """

    def __init__(self, path: Path, columns: ColumnMap, separator: str) -> None:
        """Raises InvalidManifest for files without any object."""
        self._path = path
        self._separator = separator
        self._reading: TextFile | None = None
        self._share = 0.0
        file = TextFile(path, newline="\n")
        try:
            parsed = map(_parse, islice(file.lines(), _LOOK_AT_LINES))
            keys = dict.fromkeys(key for each in parsed if isinstance(each, dict) for key in each)
        finally:
            file.close()
        if not keys:
            hint = "write one JSON object a line (JSON Lines), not one array"
            raise InvalidManifest(f"{path} has no JSON object in its first lines; {hint}")
        self._binding = columns.bind(tuple(keys))
        notes = [f"encoding: {file.encoding.note}"] if file.encoding.note else []
        self.notes: Sequence[str] = [*notes, *self._binding.describe()]
        self.folder = path.parent

    def __iter__(self) -> Iterator[SourceRow]:
        file = self._reading = TextFile(self._path, newline="\n")
        try:
            number = 0
            for line in file.lines():
                if line is None or line.strip():
                    number += 1
                    yield self._row(number, _parse(line))
        finally:
            file.close()
            self._reading, self._share = None, 1.0

    def closing_notes(self) -> Sequence[str]:
        return ()

    def position(self) -> float:
        return self._reading.position() if self._reading else self._share

    def _row(self, number: int, parsed: dict[str, Any] | Problem) -> SourceRow:
        if isinstance(parsed, Problem):
            return SourceRow(number, problem=parsed)
        return make_row(number, parsed, self._binding, self._separator)


def _parse(line: str | None) -> dict[str, Any] | Problem:
    if line is None:
        return Problem("ROW_TOO_LONG", "", f"a line of more than {MAX_LINE} characters")
    try:
        # Numbers stay text: 1.10 keeps its digits, and huge ones cost nothing.
        parsed = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return Problem("BAD_JSON", "", shown(line.strip()))
    if not isinstance(parsed, dict):
        return Problem("NOT_AN_OBJECT", "", shown(line.strip()))
    return parsed
