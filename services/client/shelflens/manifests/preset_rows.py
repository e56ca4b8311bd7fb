"""Rows as a preset describes them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shelflens.manifests import preset_values as values
from shelflens.manifests.columns import ATTRIBUTE, LISTS
from shelflens.manifests.fields import BadCell, entries_of, shown
from shelflens.manifests.grouping import Cells, Grouping
from shelflens.manifests.parents import Parents
from shelflens.manifests.preset_binding import BoundPreset
from shelflens.manifests.records import Numbered, Record, Records
from shelflens.manifests.rows import Problem, SourceRow
from shelflens.presets import FieldRule


class PresetMaker:
    """Rows from the records of a source, by a preset that is bound to the source's columns."""

    def __init__(self, bound: BoundPreset, separator: str) -> None:
        self._bound = bound
        self._separator = separator
        self._left_out: Counter[str] = Counter()
        self.used = bound.used
        self.notes: Sequence[str] = bound.binding.describe()

    def rows(self, records: Records) -> Iterator[SourceRow]:
        self._left_out.clear()
        parents = self._parents(records)
        try:
            for number, record in self._grouped(records.read(self.used)):
                if isinstance(record, Problem):
                    yield self._problem_row(number, record)
                else:
                    yield self._row(number, record, parents)
        finally:
            if parents:
                parents.close()

    def closing_notes(self) -> Sequence[str]:
        return tuple(
            f"{count} rows were left out: '{column}' is none of "
            + ", ".join(each or "(empty)" for each in self._bound.only[column])
            for column, count in self._left_out.items()
        )

    def _grouped(self, records: Iterator[Numbered]) -> Iterator[Numbered]:
        """The records that are meant, completed by their group."""
        groups = self._bound.groups
        if groups is None:
            return self._kept(records)
        texts = (
            (number, each if isinstance(each, Problem) else _texts(each))
            for number, each in records
        )
        return self._kept(Grouping(groups).complete(texts))

    def _kept(self, records: Iterator[Numbered]) -> Iterator[Numbered]:
        none, only = self._bound.none, self._bound.only
        for number, record in records:
            if isinstance(record, Problem) or not (none or only):
                yield number, record
                continue
            empty = {name: "" for name, nothing in none.items() if _is(record, name, nothing)}
            unwanted = (name for name, some in only.items() if not _is(record, name, some))
            if (column := next(unwanted, None)) is None:
                yield number, {**record, **empty} if empty else record
            else:
                self._left_out[column] += 1

    def _parents(self, records: Records) -> Parents | None:
        rule = self._bound.fields.get("parent")
        if rule is None or not rule.listed_in:
            return None
        parents = Parents()
        parents.add(self._listed(records, rule))
        return parents

    def _listed(self, records: Records, rule: FieldRule) -> Iterator[tuple[str, str]]:
        sku = self._bound.fields["sku"]
        used = (*values.columns_of(sku), rule.listed_in)
        for _, record in records.read(used):
            if isinstance(record, Problem):
                continue
            try:
                parent = values.text(record, sku)
                yield from ((each, parent) for each in values.listed(record, rule))
            except BadCell:
                continue  # the second reading says so

    def _row(self, number: int, record: Mapping[str, object], parents: Parents | None) -> SourceRow:
        fields: dict[str, Any] = {}
        images: list[str] | None = None
        try:
            for name, rule in self._bound.fields.items():
                if not self._bound.is_there(name, record):
                    continue
                if name == "image":
                    found = values.texts(record, rule, self._separator)
                    images = [values.below(self._bound.images, each) for each in found]
                elif name in LISTS:
                    fields[name] = values.texts(record, rule, self._separator)
                elif name.startswith("attributes"):
                    attributes = fields.setdefault("attributes", {})
                    attributes.update(_attributes(name, record, rule))
                else:
                    fields[name] = values.text(record, rule)
        except BadCell as bad:
            problem = Problem(bad.reason, shown(bad.column), bad.value, record)
            return self._problem_row(number, problem)
        if parents and not fields.get("parent"):
            fields["parent"] = parents.of(fields["sku"])
        return SourceRow(number, fields, images)

    def _problem_row(self, number: int, problem: Problem) -> SourceRow:
        """With its SKU where that can be read."""
        try:
            sku = values.text(problem.known, self._bound.fields["sku"])
        except BadCell:
            sku = ""
        return SourceRow(number, {"sku": sku} if sku else {}, None, replace(problem, known={}))


def _attributes(name: str, record: Mapping[str, object], rule: FieldRule) -> dict[str, str]:
    if name.startswith(ATTRIBUTE):
        found = values.text(record, rule)
        return {name.removeprefix(ATTRIBUTE): found} if found else {}
    if rule.equals or rule.named:
        return values.pairs(record, rule)
    entries: dict[str, str] = {}
    for column in rule.columns:
        try:
            entries.update(entries_of(record.get(column)))
        except BadCell as bad:
            raise bad.of(column) from None
    return {key: each for key, each in entries.items() if key not in rule.drop}


def _texts(record: Record) -> Cells | Problem:
    if isinstance(record, Problem):
        return record
    try:
        return {column: values.cell(record, column) for column in record}
    except BadCell as bad:
        return Problem(bad.reason, shown(bad.column), bad.value, record)


def _is(record: Mapping[str, object], column: str, wanted: Sequence[str]) -> bool:
    try:
        return values.cell(record, column).casefold() in (each.casefold() for each in wanted)
    except BadCell:
        return False
