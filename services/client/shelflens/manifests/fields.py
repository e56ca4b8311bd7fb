"""From the values of one record to the fields and images of a row."""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from shelflens.manifests.columns import ATTRIBUTE, LISTS, Binding
from shelflens.manifests.rows import MAX_CELL, Problem, SourceRow

# How decoding.py marks bytes that are no text.
_NO_TEXT = re.compile("[\ud800-\udfff]")


class BadCell(Exception):
    """A value that makes its row a Problem."""

    def __init__(self, reason: str, value: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value
        self.column = ""

    def of(self, column: str) -> "BadCell":
        """Itself, knowing its column."""
        self.column = column
        return self


def make_row(row: int, record: Mapping[str, object], binding: Binding, separator: str) -> SourceRow:
    """The row that `record` (column -> text, number, list, dict or None) describes.

    Columns that the record lacks are left out. A value over 1 MiB, with undecodable bytes or of a
    wrong kind makes it a row with a problem.
    """
    fields: dict[str, Any] = {}
    images: list[str] | None = None
    column = ""
    try:
        for name, columns in binding.columns.items():
            for column in columns:
                if column not in record:
                    continue
                value = record[column]
                if name == "image":
                    images = [*(images or ()), *texts_of(value, separator)]
                elif name in LISTS:
                    fields.setdefault(name, []).extend(texts_of(value, separator))
                elif name == "attributes":
                    fields.setdefault(name, {}).update(entries_of(value))
                elif name.startswith(ATTRIBUTE):
                    attribute = name.removeprefix(ATTRIBUTE)
                    fields.setdefault("attributes", {})[attribute] = text_of(value)
                else:
                    fields[name] = text_of(value)
    except BadCell as bad:
        return problem_row(row, Problem(bad.reason, shown(column), bad.value, record), binding)
    return SourceRow(row, fields, images)


def problem_row(row: int, problem: Problem, binding: Binding) -> SourceRow:
    """The row of a record that cannot be read, with its SKU where that can."""
    for column in binding.columns.get("sku", ()):
        with suppress(BadCell):
            if sku := text_of(problem.known.get(column)).strip():
                return SourceRow(row, {"sku": sku}, None, replace(problem, known={}))
    return SourceRow(row, {}, None, replace(problem, known={}))


def as_text(value: str) -> str:
    """`value` with undecodable bytes written as escapes."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def shown(value: str) -> str:
    """A piece of `value` that any terminal and any JSON reader takes."""
    return as_text(value[:200])


def _sketch(value: object) -> str:
    try:
        return shown(repr(value)[:200])
    except (RecursionError, ValueError):  # nested deeper than Python can print, or a huge number
        return f"a {type(value).__name__} that is too large to show"


def text_of(value: object) -> str:
    """A value as text; none is empty. Raises BadCell."""
    match value:
        case str():
            text = value
        case None:
            return ""
        case float() if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
            return str(int(value))  # Parquet from pandas: whole numbers beside gaps are floats
        case bool() | int() | float():
            return str(value)
        case list() | tuple() | dict() | bytes():
            raise BadCell("CELL_NOT_TEXT", _sketch(value))
        case _:
            text = str(value)  # dates and decimals
    if len(text) > MAX_CELL:
        raise BadCell("CELL_TOO_LARGE", shown(text))
    if not text.isascii() and _NO_TEXT.search(text):
        raise BadCell("TEXT_UNDECODABLE", shown(text))
    return text


def texts_of(value: object, separator: str) -> list[str]:
    """A list as its texts, another value cut at `separator`; none is empty. Raises BadCell."""
    if isinstance(value, list | tuple):
        parts = [text_of(each) for each in value]
        if sum(map(len, parts)) > MAX_CELL:
            raise BadCell("CELL_TOO_LARGE", shown(parts[0]))
    else:
        text = text_of(value)
        parts = text.split(separator) if separator else [text]
    return [each.strip() for each in parts if each.strip()]


def entries_of(value: object) -> dict[str, str]:
    """A whole `attributes` object: a dict, Parquet's list of pairs, or JSON text."""
    if isinstance(value, str) and value.strip():
        text = text_of(value)
        try:
            value = json.loads(text, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            raise BadCell("ATTRIBUTES_NOT_AN_OBJECT", shown(text)) from None
    match value:
        case None | "":
            return {}
        case dict():
            pairs = list(value.items())
        case list() if all(isinstance(each, tuple) and len(each) == 2 for each in value):
            pairs = value
        case _:
            raise BadCell("ATTRIBUTES_NOT_AN_OBJECT", _sketch(value))
    entries = {text_of(key): text_of(each) for key, each in pairs}
    if sum(map(len, entries.values())) > MAX_CELL:
        raise BadCell("CELL_TOO_LARGE", _sketch(value))
    return entries
