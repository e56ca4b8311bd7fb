"""From the records of a source to rows: what is common to plain manifests and presets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from shelflens.manifests.columns import Binding
from shelflens.manifests.fields import BadCell, make_row, problem_row, shown
from shelflens.manifests.records import Records
from shelflens.manifests.rows import Problem, SourceRow
from shelflens.manifests.vectors import vector_of

_CUT_OFF = (
    "the source seems to end in the middle: its last line, quote or element is not complete; "
    "export it again if rows are missing"
)


class RowMaker(Protocol):
    """Gives records their meaning."""

    @property
    def used(self) -> Sequence[str]:
        """The columns that it reads."""

    @property
    def notes(self) -> Sequence[str]:
        """What was decided, for people."""

    def rows(self, records: Records) -> Iterator[SourceRow]:
        """At most one row for a record, with its number."""

    def closing_notes(self) -> Sequence[str]:
        """What only reading to the end could tell."""


class PlainMaker:
    """Rows from columns with the fields' own names, and from those that the user mapped."""

    def __init__(self, binding: Binding, separator: str, embedding: str | None = None) -> None:
        """`embedding` is the column of embeddings, where they are wanted."""
        self._binding = binding
        self._separator = separator
        self._embedding = embedding
        used = [name for names in binding.columns.values() for name in names]
        self.used = tuple(used if embedding is None else (*used, embedding))
        self.notes: Sequence[str] = binding.describe()

    def rows(self, records: Records) -> Iterator[SourceRow]:
        for number, record in records.read(self.used):
            if isinstance(record, Problem):
                yield problem_row(number, record, self._binding)
            else:
                row = make_row(number, record, self._binding, self._separator)
                yield row if self._embedding is None else self._with_vector(row, record)

    def _with_vector(self, row: SourceRow, record: Mapping[str, object]) -> SourceRow:
        column = self._embedding or ""
        try:
            return replace(row, embedding=vector_of(record.get(column)))
        except BadCell as bad:
            return problem_row(
                row.row, Problem(bad.reason, shown(column), bad.value, record), self._binding
            )

    def closing_notes(self) -> Sequence[str]:
        return ()


class ManifestRows:
    """`Rows` of one source, as a maker understands it."""

    def __init__(
        self,
        records: Records,
        maker: RowMaker,
        *,
        folder: Path | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self._records = records
        self._maker = maker
        self.notes: Sequence[str] = [*notes, *records.notes, *maker.notes]
        self.folder = folder or records.folder

    def __iter__(self) -> Iterator[SourceRow]:
        return self._maker.rows(self._records)

    def closing_notes(self) -> Sequence[str]:
        cut_off = () if self.complete() else (_CUT_OFF,)
        return (*self._records.closing_notes(), *self._maker.closing_notes(), *cut_off)

    def position(self) -> float:
        return self._records.position()

    def complete(self) -> bool:
        return self._records.complete()
