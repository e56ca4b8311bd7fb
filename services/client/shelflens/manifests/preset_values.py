"""What a preset does with single values."""

import re
from collections.abc import Iterable, Iterator, Mapping

from shelflens.manifests.fields import BadCell, text_of, texts_of
from shelflens.manifests.html_text import to_text
from shelflens.presets import FieldRule

_PLACE = re.compile(r"\{([^{}]+)\}")
_CURRENCY = re.compile(r"(?:[A-Z]{3}\s*)?([^A-Za-z]*?)(?:\s*[A-Z]{3})?")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|object:")
_LONGEST_NUMBER = 64
Record = Mapping[str, object]


def cell(record: Record, column: str) -> str:
    """The text in a column, stripped. Raises BadCell with the column."""
    try:
        return text_of(record.get(column)).strip()
    except BadCell as bad:
        raise bad.of(column) from None


def text(record: Record, rule: FieldRule) -> str:
    """The first column with a value, else the first template that can be filled."""
    found = next(filter(None, (cell(record, each) for each in rule.columns)), "")
    found = found or next(filter(None, (_filled(record, each) for each in rule.value)), "")
    if not found:
        return ""
    if rule.html:
        found = to_text(found)
    if rule.number:
        found = _number(found)
    if rule.minimum is not None:
        found = _at_least(found, rule.minimum)
    return rule.prefix + found.removeprefix(rule.strip)


def texts(record: Record, rule: FieldRule, separator: str) -> list[str]:
    """The values of a list, each once."""
    separator = separator if rule.separator is None else rule.separator
    found: list[str] = []
    for column in rule.columns:
        try:
            found += texts_of(record.get(column), separator)
        except BadCell as bad:
            raise bad.of(column) from None
        if found and rule.first:
            break
    if not found:
        found = list(filter(None, (_filled(record, each) for each in rule.value[:1])))
    return list(dict.fromkeys(filter(None, (_part(each, rule) for each in found))))


def pairs(record: Record, rule: FieldRule) -> dict[str, str]:
    """`size=XS,color=Black`; a piece without `=` belongs to the value before it."""
    entries: dict[str, str] = {}
    for column in rule.columns:
        entries.update(_pairs(cell(record, column), rule.separator or ",", rule.equals))
    for name, value in rule.named.items():
        if (key := cell(record, name)) and (found := cell(record, value)):
            entries[key] = found
    return {key: each for key, each in entries.items() if each and key not in rule.drop}


def listed(record: Record, rule: FieldRule) -> Iterator[str]:
    """The variants that a parent's row lists: `sku=A,size=XS|sku=B,size=S`."""
    for entry in cell(record, rule.listed_in).split(rule.separator or "|"):
        if found := _pairs(entry, rule.pairs or ",", rule.equals or "=").get(rule.key):
            yield found


def columns_of(rule: FieldRule) -> Iterable[str]:
    """Every column that a rule reads."""
    yield from rule.columns
    for template in rule.value:
        yield from _PLACE.findall(template)
    for pair in rule.named.items():
        yield from pair
    if rule.listed_in:
        yield rule.listed_in


def below(folder: str, reference: str) -> str:
    """An image reference inside `folder`; addresses stay as they are."""
    if not folder or _ADDRESS.match(reference):
        return reference
    return f"{folder.rstrip('/')}/{reference}"


def renamed(template: str, names: Mapping[str, str]) -> str:
    """A template with the columns' names as the source writes them."""
    return _PLACE.sub(lambda place: "{" + names.get(place[1], place[1]) + "}", template)


def _filled(record: Record, template: str) -> str:
    values = {name: cell(record, name) for name in _PLACE.findall(template)}
    if not all(values.values()):
        return ""
    return _PLACE.sub(lambda place: values[place[1]], template)


def _part(value: str, rule: FieldRule) -> str:
    if rule.path:
        levels = (each.strip() for each in _split_path(value, rule.path))
        return " > ".join(each for each in levels if each and each not in rule.drop)
    if value in rule.drop:
        return ""
    value = value.removeprefix(rule.strip)
    if not rule.prefix or _ADDRESS.match(value):
        return value
    return rule.prefix + value


def _split_path(value: str, separator: str) -> list[str]:
    r"""Cuts at `separator`, but not at one after a backslash, as in `T\/Shirts`."""
    escaped = "\\" + separator
    if escaped not in value:
        return value.split(separator)
    hidden = value.replace(escaped, "\0")
    return [each.replace("\0", separator) for each in hidden.split(separator)]


def _pairs(value: str, separator: str, equals: str) -> dict[str, str]:
    entries: dict[str, list[str]] = {}
    last: list[str] = []
    for piece in value.split(separator):
        key, sign, found = piece.partition(equals)
        if sign and key.strip():
            last = entries[key.strip()] = [found]
        else:
            last.append(piece)
    return {key: separator.join(found).strip() for key, found in entries.items()}


def _number(value: str) -> str:
    match = _CURRENCY.fullmatch(value[:_LONGEST_NUMBER])
    if len(value) > _LONGEST_NUMBER or not match:
        return value
    return match[1].strip() or value


def _at_least(value: str, minimum: float) -> str:
    try:
        return f"{minimum:g}" if float(value) < minimum else value
    except ValueError:
        return value  # the server says what is wrong with it
