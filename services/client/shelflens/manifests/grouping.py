"""Products that stand in several rows: their common cells and pictures, row by row."""

from collections.abc import Iterator, Mapping
from itertools import chain

from shelflens.manifests.records import Numbered
from shelflens.manifests.rows import MAX_LINE, Problem
from shelflens.presets import Groups

Cells = dict[str, str]
_MAX_ROWS = 3_000  # of one product held at a time; a longer one is cut


class Grouping:
    """Completes the records of one source, which must be texts.

    A record that is no member repeats the first member with its own pictures alone, so that it
    merges into that product.
    """

    def __init__(self, groups: Groups) -> None:
        """`groups` with the names of the source's columns."""
        self._groups = groups
        self._key = ""
        self._first: Mapping[str, str] = {}
        self._member: Mapping[str, str] = {}

    def complete(self, records: Iterator[tuple[int, Cells | Problem]]) -> Iterator[Numbered]:
        held: list[tuple[int, Cells | Problem]] = []
        characters = 0
        for number, record in records:
            if isinstance(record, Problem):
                held.append((number, record))
                continue
            key = record.get(self._groups.key, "")
            size = sum(map(len, record.values()))
            full = len(held) >= _MAX_ROWS or characters + size > MAX_LINE
            if held and (full or not key or key != self._key):
                yield from self._emit(held)
                held, characters = [], 0
            if not key or key != self._key:
                self._key, self._first, self._member = key, record, {}
            held.append((number, record))
            characters += size
        yield from self._emit(held)

    def _emit(self, held: list[tuple[int, Cells | Problem]]) -> Iterator[Numbered]:
        cells = [record for _, record in held if not isinstance(record, Problem)]
        for record in cells:
            for column in self._groups.repeat:
                if not record.get(column) and (value := self._first.get(column)):
                    record[column] = value
        if not self._member:
            self._member = next(filter(self._is_member, cells), {})
        shared = self._shared(cells)
        others = self._shared(cells, claimed=frozenset(_values(cells, self._groups.own)))
        for number, each in held:
            if isinstance(each, Problem):
                yield number, each
            elif not self._is_member(each):
                yield number, {**each, **self._member, **self._pictures(each)}
            elif any(each.get(column) for column in self._groups.own):
                yield number, {**each, **others}
            else:
                yield number, {**each, **{name: others[name] or shared[name] for name in shared}}

    def _is_member(self, record: Mapping[str, str]) -> bool:
        return any(record.get(column) for column in self._groups.members)

    def _pictures(self, record: Mapping[str, str]) -> dict[str, str]:
        columns = chain(self._groups.shared, self._groups.own)
        return {column: record.get(column, "") for column in columns}

    def _shared(
        self, cells: list[Cells], claimed: frozenset[str] = frozenset()
    ) -> dict[str, list[str]]:
        return {
            column: [each for each in _values(cells, (column,)) if each not in claimed]
            for column in self._groups.shared
        }


def _values(cells: list[Cells], columns: tuple[str, ...]) -> dict[str, None]:
    """Each value once, in their order."""
    values = (record.get(column) for record in cells for column in columns)
    return dict.fromkeys(filter(None, values))
