"""The manifest as it travels to the server: JSON Lines, described in docs/manifest.md."""

import base64
import json
from collections.abc import Sequence
from typing import Any, TypedDict

from shelflens.manifests.rows import SourceRow


class ImageEntry(TypedDict, total=False):
    """An image of a row: `source` with one of `sha256`, `url` and `object`, or why none."""

    source: str
    sha256: str
    url: str
    object: str
    error: str
    message: str


def encode(row: SourceRow, images: Sequence[ImageEntry]) -> bytes:
    """One line. `images` are the entries of `row.images`; none where that is None."""
    line: dict[str, Any] = {"row": row.row, "fields": row.fields}
    if row.images is not None:
        line["images"] = images
    if row.embedding is not None:
        line["embedding"] = base64.b64encode(row.embedding).decode()
    if row.problem is not None:
        problem = row.problem
        line["problem"] = {
            "reason": problem.reason,
            "field": problem.field,
            "value": problem.value,
        }
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
