"""Writing rows as JSON Lines or Parquet, a batch at a time."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from shelflens.errors import InvalidArgument
from shelflens.exporting.records import Column

_ROWS = 512  # in memory at once
FORMATS = {".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def file_format(path: Path) -> str:
    """parquet or jsonl, by the name; stdout (`-`) is jsonl.

    Raises InvalidArgument (EXPORT_FORMAT_UNKNOWN; PYARROW_MISSING for Parquet without pyarrow).
    """
    if str(path) == "-":
        return "jsonl"
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise InvalidArgument(
            f"{path} names no format: end it in .parquet or .jsonl", reason="EXPORT_FORMAT_UNKNOWN"
        )
    if found == "parquet":
        _arrow()
    return found


def write_rows(
    file: IO[bytes],
    form: str,
    columns: Sequence[Column],
    rows: Iterable[Mapping[str, Any]],
    about: Mapping[str, str],
) -> int:
    """Writes rows in the format `form`; returns their number.

    Parquet has `columns` only, `about` in its metadata, and lists of float32 for the kind `vector`.
    """
    if form == "parquet":
        return _write_parquet(file, columns, iter(rows), about)
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - counted for the caller
        file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    return count


def _write_parquet(
    file: IO[bytes], columns: Sequence[Column], rows: Any, about: Mapping[str, str]
) -> int:
    arrow, parquet = _arrow()
    kinds = {
        "text": arrow.string(),
        "object": arrow.string(),  # as JSON: keys differ from row to row
        "texts": arrow.list_(arrow.string()),
        "number": arrow.float64(),
        "vector": arrow.list_(arrow.float32()),
    }
    schema = arrow.schema([(each.name, kinds[each.kind]) for each in columns], metadata=dict(about))
    objects = [each.name for each in columns if each.kind == "object"]
    count = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch := list(islice(rows, _ROWS)):
            listed = [
                dict(row) | {name: json.dumps(row[name]) for name in objects} for row in batch
            ]
            writer.write_table(arrow.Table.from_pylist(listed, schema=schema))
            count += len(batch)
    return count


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InvalidArgument(
            "writing Parquet needs pyarrow: pip install 'shelflens[parquet]', or name the file "
            "something.jsonl",
            reason="PYARROW_MISSING",
        ) from None
    return pyarrow, pyarrow.parquet
