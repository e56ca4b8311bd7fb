"""Embeddings as a manifest or a file beside it has them, turned into bytes for the wire."""

import json
import sys
from array import array
from collections.abc import Sequence

from shelflens.errors import InvalidManifest
from shelflens.manifests.columns import column_key
from shelflens.manifests.fields import BadCell, shown

# `values` is what `shelflens export --embeddings` writes.
_NAMES = ("embedding", "values")


def embedding_column(columns: Sequence[str], wanted: str | None) -> str:
    """The column of the embeddings: the one that the user named, else `embedding` or `values`.

    Raises InvalidManifest (COLUMN_MISSING).
    """
    by_key = {column_key(each): each for each in reversed(columns)}
    for name in (wanted,) if wanted else _NAMES:
        if (column := by_key.get(column_key(name))) is not None:
            return column
    raise InvalidManifest(
        f"there is no column '{wanted or _NAMES[0]}' with embeddings among: "
        f"{', '.join(columns)[:500]}; name it with --map embedding=COLUMN, or give a file of them "
        "with --embeddings",
        reason="COLUMN_MISSING",
    )


def vector_of(value: object) -> bytes | None:
    """float32, little-endian, of a list of numbers or its JSON text; None where there is none.

    Values that float32 cannot hold are infinite, and refused by the server. Raises BadCell
    (EMBEDDING_UNREADABLE).
    """
    if value is None or value == "":
        return None
    given = value
    try:
        if isinstance(value, str):
            value = json.loads(value)
        if isinstance(value, list | tuple):
            return packed(array("f", [float(each) for each in value]))
    except (ValueError, TypeError, OverflowError, RecursionError):
        pass
    text = given if isinstance(given, str) else repr(given)[:200]
    raise BadCell("EMBEDDING_UNREADABLE", shown(text))


def packed(values: "array[float]") -> bytes:
    """The bytes of float32 values, little-endian whatever the machine."""
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
