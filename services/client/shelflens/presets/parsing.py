"""From the YAML of a preset to a Preset. Every mistake is named with its key and file."""

from collections.abc import Mapping
from typing import Any

from shelflens.errors import InvalidArgument
from shelflens.presets.schema import Detection, FieldRule, Groups, Part, Preset, Values

_ATTRIBUTE = "attributes."
_TEXT = ("columns", "value", "html", "strip", "prefix")
_NUMBER = ("columns", "value", "number", "minimum")
_LIST = ("columns", "value", "separator", "first", "drop", "strip", "prefix")
_KEYS = {
    "sku": _TEXT,
    "title": _TEXT,
    "description": _TEXT,
    "parent": (*_TEXT, "listed_in", "separator", "pairs", "equals", "key"),
    "price": _NUMBER,
    "stock": _NUMBER,
    "categories": (*_LIST, "path"),
    "labels": _LIST,
    "image": _LIST,
    "attributes": ("columns", "separator", "equals", "drop", "named"),
}
_TEXTS = ("separator", "path", "strip", "prefix", "equals", "listed_in", "pairs", "key")


def parse_preset(text: str, where: str) -> Preset:
    """`where` is the file, for messages. Raises InvalidArgument (INVALID_PRESET)."""
    import yaml  # here: the command line starts without it

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _invalid(where, f"is no YAML: {error}") from None
    top = _Keys(found, "", where)
    preset = Preset(
        name=top.text("name", needed=True),
        title=top.text("title") or top.text("name"),
        description=top.text("description"),
        detect=_detection(top.keys("detect")),
        none=top.values("none"),
        only=top.values("only"),
        groups=_groups(top.keys("groups")),
        whole=_part(top),
        splits={name: _split(top.keys("splits").keys(name)) for name in top.keys("splits").names()},
        fields=_fields(top.keys("fields", needed=True)),
    )
    top.done()
    return preset


class _Keys:
    """One mapping of the file; remembers what was asked for, so that the rest is unknown."""

    def __init__(self, found: Any, at: str, where: str) -> None:
        if found is None:
            found = {}
        if not isinstance(found, dict) or not all(isinstance(each, str) for each in found):
            raise _invalid(where, f"{at or 'the file'} must have keys and values, as in 'name: x'")
        self._found: Mapping[str, Any] = found
        self._at = at
        self._where = where
        self._asked: dict[str, None] = {}

    def names(self) -> list[str]:
        return list(self._found)

    def has(self, name: str) -> bool:
        return name in self._found

    def text(self, name: str, *, needed: bool = False) -> str:
        value = self._take(name)
        if value is None and not needed:
            return ""
        if not isinstance(value, str) or (needed and not value):
            raise self.wrong(name, "must be a text" + ("" if needed else "; quote numbers"))
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._take(name)
        if value is None:
            return ()
        entries = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str) for each in entries):
            raise self.wrong(name, "must be a text or a list of texts; quote numbers and yes or no")
        return tuple(entries)

    def flag(self, name: str) -> bool:
        value = self._take(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return bool(value)

    def number(self, name: str) -> float | None:
        value = self._take(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self.wrong(name, "must be a number")
        return value

    def values(self, name: str) -> Values:
        inner = self.keys(name)
        return {column: inner.texts(column) for column in inner.names()}

    def keys(self, name: str, *, needed: bool = False) -> "_Keys":
        value = self._take(name)
        if value is None and needed:
            raise self.wrong(name, "is missing")
        return _Keys(value, self._path(name), self._where)

    def short(self, name: str) -> "_Keys":
        """As `keys`; a text or a list of texts stands for its `columns`."""
        value = self._take(name)
        value = {"columns": value} if isinstance(value, str | list) else value
        return _Keys(value, self._path(name), self._where)

    def done(self) -> None:
        """Raises InvalidArgument for keys that nothing asked for."""
        for name in self._found:
            if name not in self._asked:
                raise self.wrong(name, f"is no key here; the keys are: {', '.join(self._asked)}")

    def wrong(self, name: str, message: str) -> InvalidArgument:
        return _invalid(self._where, f"'{self._path(name)}' {message}")

    def _take(self, name: str) -> Any:
        self._asked[name] = None
        return self._found.get(name)

    def _path(self, name: str) -> str:
        return f"{self._at}.{name}" if self._at else name


def _detection(keys: _Keys) -> Detection:
    found = Detection(keys.texts("columns"), keys.texts("files"), keys.flag("exact"))
    keys.done()
    return found


def _groups(keys: _Keys) -> Groups | None:
    if not keys.names():
        return None
    found = Groups(
        keys.text("key", needed=True),
        *(keys.texts(name) for name in ("repeat", "members", "shared", "own")),
    )
    keys.done()
    return found


def _part(keys: _Keys) -> Part:
    return Part(keys.text("manifest"), keys.texts("files"), keys.text("images"))


def _split(keys: _Keys) -> Part:
    found = Part(
        keys.text("manifest"), keys.texts("files"), keys.text("images"), keys.values("only")
    )
    keys.done()
    return found


def _fields(keys: _Keys) -> dict[str, FieldRule]:
    rules: dict[str, FieldRule] = {}
    for name in keys.names():
        attribute = name.startswith(_ATTRIBUTE) and name != _ATTRIBUTE
        allowed = (*_TEXT, "number") if attribute else _KEYS.get(name)
        if allowed is None:
            known = ", ".join((*_KEYS, "attributes.NAME"))
            raise keys.wrong(name, f"is no field; the fields are: {known}")
        rules[name] = _rule(keys.short(name), allowed)
    if "sku" not in rules:
        raise keys.wrong("sku", "is missing: say which column has the SKU")
    return rules


def _rule(keys: _Keys, allowed: tuple[str, ...]) -> FieldRule:
    known: dict[str, Any] = {}
    for name in allowed:
        if name in ("columns", "value", "drop"):
            known[name] = keys.texts(name)
        elif name in ("html", "first", "number"):
            known[name] = keys.flag(name)
        elif name in _TEXTS and keys.has(name):
            known[name] = keys.text(name)
        elif name == "minimum":
            known[name] = keys.number(name)
        elif name == "named":
            named = keys.keys(name)
            known[name] = {each: named.text(each, needed=True) for each in named.names()}
        else:
            keys.text(name)
    keys.done()
    return FieldRule(**known)


def _invalid(where: str, message: str) -> InvalidArgument:
    return InvalidArgument(f"{where}: {message}", reason="INVALID_PRESET")
