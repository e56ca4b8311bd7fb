"""From one line of a manifest to an accepted row, or to the lines of the error report."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from services.core.domain.catalog import ProductFields
from services.core.domain.errors import InvalidArgument
from services.core.domain.vector_images import vector_source
from services.core.shard_files import AcceptedRow, RejectedRow
from services.ingestion.image_sources import Found, ImageSources
from services.ingestion.numbers import parse_number
from services.ingestion.row_embeddings import BadEmbedding, RowEmbedding, RowEmbeddings

UNREADABLE = "ROW_UNREADABLE"
# Field of a line about an image that could not be fetched and whose earlier copy stays in use.
KEPT = "images.kept"
_SHOWN = 200
_LARGEST_ROW = 1 << 51  # with 12 bits for the place of an image, a number that records can hold
_TEXTS = frozenset(("sku", "title", "description", "parent"))
_REASON = re.compile(r"[A-Z][A-Z0-9_]{2,62}")


class CheckedRow(NamedTuple):
    """`accepted` is None for a rejected row, which then has a line with `row_rejected`."""

    accepted: AcceptedRow | None
    rejected: tuple[RejectedRow, ...] = ()


def check_line(
    line: bytes | None,
    number: int,
    sources: ImageSources,
    embeddings: RowEmbeddings | None = None,
) -> CheckedRow:
    """Checks one line; None stands for one that is too long. Raises nothing about the line.

    `number` is the row's number where the line has none of its own. With `embeddings`, every row
    must carry one, and that of an accepted row is kept there.
    """
    if line is None:
        return _rejected(number, "ROW_TOO_LONG", "row", "")
    try:
        row = json.loads(line.decode())
    except (ValueError, RecursionError):
        return _rejected(number, UNREADABLE, "row", line[:_SHOWN].decode(errors="replace"))
    if not isinstance(row, dict) or not isinstance(row.get("fields"), dict):
        return _rejected(number, UNREADABLE, "row", row)
    own = row.get("row")
    if isinstance(own, int) and not isinstance(own, bool) and 0 <= own < _LARGEST_ROW:
        number = own
    sku = row["fields"].get("sku", "")
    if (problem := row.get("problem")) is not None:
        return _reported_problem(problem, number, sku)
    try:
        product = _product(row["fields"])
    except _BadField as bad:
        return _rejected(number, bad.reason, bad.field, bad.value, sku)
    fields = {name: getattr(product, name) for name in row["fields"] if name in _CONVERTERS}
    if embeddings is not None:
        return _with_embedding(row, number, product.sku, fields, sources, embeddings)
    if row.get("embedding") is not None:
        return _rejected(number, "EMBEDDING_MODEL_MISSING", "embedding", "", product.sku)
    if "images" not in row:
        return CheckedRow(AcceptedRow(number, fields, tuple(fields), (), ()))
    usable, refused = _images(row["images"], sources)
    lines = _refused_lines(number, product.sku, refused, not usable)
    return CheckedRow(_accepted(number, fields, usable) if usable else None, lines)


def _with_embedding(
    row: Mapping[str, Any],
    number: int,
    sku: str,
    fields: Mapping[str, Any],
    sources: ImageSources,
    embeddings: RowEmbeddings,
) -> CheckedRow:
    """The embedding belongs to the first image, or is an image itself where that is not usable."""
    try:
        embedding = embeddings.read(row.get("embedding"))
    except BadEmbedding as bad:
        return _rejected(number, bad.reason, "embedding", bad.value, sku)
    entries = row.get("images") or []
    if isinstance(entries, list):
        entries = [each for each in entries if not _is_itself(each, embedding)]
    usable, refused = _images(entries, sources) if entries else ([], [])
    if isinstance(entries, list) and entries and (first := _image(entries[0], sources)[0]).usable:
        image = first.sha256
    else:
        image = embedding.sha256
        usable.insert(0, (image, vector_source(image)))
    embeddings.keep(image, embedding)
    accepted = _accepted(number, fields, usable, embedding.sha256)
    return CheckedRow(accepted, _refused_lines(number, sku, refused, False))


def _is_itself(entry: Any, embedding: RowEmbedding) -> bool:
    """Whether an entry names the image that is this embedding, as a row of an export does."""
    return isinstance(entry, dict) and entry.get("sha256") == embedding.sha256


def _accepted(
    number: int,
    fields: Mapping[str, Any],
    images: Sequence[tuple[str, str]],
    embedding: str = "",
) -> AcceptedRow:
    return AcceptedRow(
        number,
        fields,
        (*fields, "images"),
        tuple(sha256 for sha256, _ in images),
        tuple(source for _, source in images),
        embedding=embedding,
    )


def _refused_lines(
    number: int, sku: str, refused: Sequence[tuple[str, str, Any]], whole: bool
) -> tuple[RejectedRow, ...]:
    return tuple(
        RejectedRow(number, reason, field, _shown(value), sku, whole and at == 0)
        for at, (reason, field, value) in enumerate(refused)
    )


class _BadField(Exception):
    def __init__(self, reason: str, field: str, value: Any) -> None:
        self.reason, self.field, self.value = reason, field, value


def _product(fields: Mapping[str, Any]) -> ProductFields:
    known: dict[str, Any] = {"sku": ""}
    for name, value in fields.items():
        if name in _TEXTS and type(value) is str:  # most values: a call saved on each
            known[name] = value
        elif (convert := _CONVERTERS.get(name)) is not None:
            known[name] = convert(name, value)
    try:
        return ProductFields(**known)
    except InvalidArgument as error:
        field = error.metadata.get("field", "row")
        raise _BadField(error.reason, field, _raw(fields, field)) from None


def _raw(fields: Mapping[str, Any], path: str) -> Any:
    """What the row has at `path`, which is a field or `attributes.` and the start of a key."""
    name, _, start = path.partition(".")
    value = fields.get(name, "")
    if start and isinstance(value, dict):
        return next((each for key, each in value.items() if key.startswith(start)), "")
    return value


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _BadField("FIELD_NOT_TEXT", name, value)
    try:
        return str(value)
    except ValueError:  # an integer of thousands of digits
        raise _BadField("FIELD_NOT_TEXT", name, "") from None


def _texts(name: str, value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple([each if type(each) is str else _text(name, each) for each in values])


def _attributes(name: str, value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _BadField("FIELD_NOT_TEXT", name, value)
    return {key: each if type(each) is str else _text(name, each) for key, each in value.items()}


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return parse_number(value) if value and not value.isspace() else None
        if not isinstance(value, bool) and isinstance(value, (int, float)):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise _BadField(f"{name.upper()}_UNREADABLE", name, value)


_CONVERTERS: dict[str, Callable[[str, Any], Any]] = {
    "sku": _text,
    "title": _text,
    "description": _text,
    "categories": _texts,
    "labels": _texts,
    "parent": _text,
    "price": _number,
    "stock": _number,
    "attributes": _attributes,
}


def _images(
    entries: Any, sources: ImageSources
) -> tuple[list[tuple[str, str]], list[tuple[str, str, Any]]]:
    """(hash, source) of the usable images, (reason, field, value) of what the report must say."""
    if not isinstance(entries, list):
        return [], [(UNREADABLE, "images", entries)]
    if not entries:
        return [], [("NO_IMAGE", "images", "")]
    usable: dict[str, tuple[str, str]] = {}  # by what tells one image from another
    refused: list[tuple[str, str, Any]] = []
    for entry in entries:
        found, source = _image(entry, sources)
        if found.reason:
            refused.append((found.reason, KEPT if found.sha256 else "images", source))
        if found.usable:
            usable.setdefault(found.sha256 or source, (found.sha256, _clean(source)))
    return list(usable.values()), refused


def _image(entry: Any, sources: ImageSources) -> tuple[Found, Any]:
    """What is known of an image, and its source."""
    if not isinstance(entry, dict):
        return Found("", UNREADABLE), entry
    source = entry.get("source", "")
    if not isinstance(source, str):
        return Found("", UNREADABLE), entry
    if "error" in entry:
        return Found("", _reason(entry["error"])), source
    sha256 = entry.get("sha256")
    if isinstance(sha256, str):
        return sources.stored(sha256), source or sha256
    if isinstance(url := entry.get("url"), str):
        return sources.at_url(url), source or url
    if isinstance(key := entry.get("object"), str):
        return sources.in_object(key), source or key
    return sources.stored(""), source


def _reported_problem(problem: Any, number: int, sku: Any) -> CheckedRow:
    if not isinstance(problem, dict):
        return _rejected(number, UNREADABLE, "row", problem, sku)
    field = problem.get("field") or "row"
    return _rejected(number, _reason(problem.get("reason")), field, problem.get("value", ""), sku)


def _reason(value: Any) -> str:
    return value if isinstance(value, str) and _REASON.fullmatch(value) else UNREADABLE


def _rejected(number: int, reason: str, field: Any, value: Any, sku: Any = "") -> CheckedRow:
    line = RejectedRow(number, reason, _shown(field), _shown(value), _shown(sku))
    return CheckedRow(None, (line,))


def _shown(value: Any) -> str:
    """A value for the report: at most 200 characters of valid text."""
    text = value if isinstance(value, str) else _dumped(value)
    return _clean(text[:_SHOWN])


def _dumped(value: Any) -> str:
    try:
        return "" if value is None else json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""


def _clean(text: str) -> str:
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
