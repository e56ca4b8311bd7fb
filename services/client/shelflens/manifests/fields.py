"""From the values of one record to the fields and images of a row."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from shelflens.manifests.columns import ATTRIBUTE, LISTS, Binding
from shelflens.manifests.rows import MAX_CELL, Problem, SourceRow

_SURROGATE = re.compile("[\ud800-\udfff]")  # how decoding.py marks bytes that are no text


class _BadCell(Exception):
    def __init__(self, reason: str, value: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


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
                    images = [*(images or ()), *_texts(value, separator)]
                elif name in LISTS:
                    fields.setdefault(name, []).extend(_texts(value, separator))
                elif name == "attributes":
                    fields.setdefault(name, {}).update(_entries(value))
                elif name.startswith(ATTRIBUTE):
                    attribute = name.removeprefix(ATTRIBUTE)
                    fields.setdefault("attributes", {})[attribute] = _text(value)
                else:
                    fields[name] = _text(value)
    except _BadCell as bad:
        sku = {"sku": fields["sku"]} if "sku" in fields else {}
        return SourceRow(row, sku, None, Problem(bad.reason, column, bad.value))
    return SourceRow(row, fields, images)


def shown(value: str) -> str:
    """A piece of `value` that any terminal and any JSON reader takes."""
    return value[:200].encode("utf-8", "backslashreplace").decode()


def _text(value: object) -> str:
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
            raise _BadCell("CELL_NOT_TEXT", shown(repr(value)[:200]))
        case _:
            text = str(value)  # dates and decimals
    if len(text) > MAX_CELL:
        raise _BadCell("CELL_TOO_LARGE", shown(text))
    if not text.isascii() and _SURROGATE.search(text):
        raise _BadCell("TEXT_UNDECODABLE", shown(text))
    return text


def _texts(value: object, separator: str) -> list[str]:
    if isinstance(value, list | tuple):
        parts = [_text(each) for each in value]
        if sum(map(len, parts)) > MAX_CELL:
            raise _BadCell("CELL_TOO_LARGE", shown(parts[0]))
    else:
        text = _text(value)
        parts = text.split(separator) if separator else [text]
    return [each.strip() for each in parts if each.strip()]


def _entries(value: object) -> dict[str, str]:
    """A whole `attributes` object: a dict, Parquet's list of pairs, or JSON text."""
    if isinstance(value, str) and value.strip():
        text = _text(value)
        try:
            value = json.loads(text, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            raise _BadCell("ATTRIBUTES_NOT_AN_OBJECT", shown(text)) from None
    match value:
        case None | "":
            return {}
        case dict():
            pairs = list(value.items())
        case list() if all(isinstance(each, tuple) and len(each) == 2 for each in value):
            pairs = value
        case _:
            raise _BadCell("ATTRIBUTES_NOT_AN_OBJECT", shown(str(value)[:200]))
    entries = {_text(key): _text(each) for key, each in pairs}
    if sum(map(len, entries.values())) > MAX_CELL:
        raise _BadCell("CELL_TOO_LARGE", shown(str(value)[:200]))
    return entries
