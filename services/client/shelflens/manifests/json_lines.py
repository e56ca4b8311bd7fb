"""JSON Lines: one object a line."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from shelflens.errors import InvalidManifest
from shelflens.manifests.decoding import TextFile, is_cut_off
from shelflens.manifests.fields import as_text, shown
from shelflens.manifests.records import Numbered, Record
from shelflens.manifests.rows import MAX_LINE, Problem

_LOOK_AT_LINES = 1_000


class JsonLinesRecords:
    """Objects of a JSON Lines file. Empty lines are no records.

    The columns are the keys of the first 1,000 objects. An object that lacks one leaves that field
    as it is stored; null empties it.
    """

    open_ended = True

    def __init__(self, path: Path) -> None:
        """Raises InvalidManifest for files without any object."""
        self._path = path
        self._reading: TextFile | None = None
        self._share = 0.0
        self._complete = False
        file = TextFile(path, newline="")
        try:
            parsed = map(_parse, islice(file.lines(), _LOOK_AT_LINES))
            keys = dict.fromkeys(key for each in parsed if isinstance(each, dict) for key in each)
        finally:
            file.close()
        if not keys:
            hint = "write one JSON object a line (JSON Lines), not one array"
            raise InvalidManifest(f"{path} has no JSON object in its first lines; {hint}")
        self.columns: Sequence[str] = tuple(each for each in keys if as_text(each) == each)
        self.notes: Sequence[str] = file.notes
        self.folder = path.parent

    def read(self, used: Sequence[str]) -> Iterator[Numbered]:
        file = self._reading = TextFile(self._path, newline="")
        self._complete = False
        try:
            number = 0
            record: Record | None = None
            for line in file.lines():
                if line is None or line.strip():
                    number += 1
                    record = _parse(line)
                    yield number, record
            self._complete = not is_cut_off(file, isinstance(record, Problem))
        finally:
            file.close()
            self._reading, self._share = None, 1.0

    def closing_notes(self) -> Sequence[str]:
        return ()

    def position(self) -> float:
        return self._reading.position() if self._reading else self._share

    def complete(self) -> bool:
        return self._complete


class _KeyTwice(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python would keep the last of two values, and the row would silently lose the first."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise _KeyTwice(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return entries


# Numbers stay text: 1.10 keeps its digits, and huge ones cost nothing.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_once, parse_int=str, parse_float=str, parse_constant=str
)


def _parse(line: str | None) -> dict[str, Any] | Problem:
    if line is None:
        return Problem("ROW_TOO_LONG", "", f"a line of more than {MAX_LINE} characters")
    try:
        parsed = _DECODER.decode(line)
    except _KeyTwice as twice:
        return Problem("KEY_TWICE", shown(str(twice)), shown(line.strip()))
    except (ValueError, RecursionError):
        return Problem("BAD_JSON", "", shown(line.strip()))
    if not isinstance(parsed, dict):
        return Problem("NOT_AN_OBJECT", "", shown(line.strip()))
    return parsed
