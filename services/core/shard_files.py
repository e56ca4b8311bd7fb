"""The files that stages hand to each other through the object store.

Rows and plans are Parquet, embeddings are Arrow IPC (read without copying); neither can carry code.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.core.domain.errors import DataLoss
from services.core.domain.near_duplicates import THUMBNAIL, Pixels
from services.core.ports import Float32

# json.dumps with options would make an encoder for every row.
_encode = json.JSONEncoder(ensure_ascii=False).encode
_SQUARES = THUMBNAIL * THUMBNAIL * 3


@dataclass(frozen=True, slots=True)
class AcceptedRow:
    """A checked row. `given` names the product fields that the manifest has a column for.

    In a dry run, the hash of an image that would have to be fetched is empty.
    """

    row: int
    fields: Mapping[str, Any]  # arguments of ProductFields, JSON values
    given: tuple[str, ...]
    sha256s: tuple[str, ...]
    sources: tuple[str, ...]  # references as the manifest wrote them, parallel to sha256s
    digest: str = ""  # of fields, given, sha256s and embedding; made by write_accepted
    embedding: str = ""  # hash of the one that the row carries; goes into the digest alone


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One line of the error report: a whole row, or one image of it (`row_rejected` false)."""

    row: int
    reason: str
    field: str
    value: str
    sku: str = ""
    row_rejected: bool = True


_ACCEPTED = pa.schema(
    [
        ("row", pa.int64()),
        ("fields", pa.string()),
        ("given", pa.list_(pa.string())),
        ("sha256s", pa.list_(pa.string())),
        ("sources", pa.list_(pa.string())),
        ("digest", pa.string()),
    ]
)
_REJECTED = pa.schema(
    [
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("field", pa.string()),
        ("value", pa.string()),
        ("sku", pa.string()),
        ("row_rejected", pa.bool_()),
    ]
)


def write_accepted(rows: Sequence[AcceptedRow]) -> bytes:
    encoded = [_encode(each.fields) for each in rows]
    columns = {
        "row": [each.row for each in rows],
        "fields": encoded,
        "given": [each.given for each in rows],
        "sha256s": [each.sha256s for each in rows],
        "sources": [each.sources for each in rows],
        "digest": [_digest(each, fields) for each, fields in zip(rows, encoded, strict=True)],
    }
    return _parquet(pa.table(columns, schema=_ACCEPTED))


def read_accepted(data: bytes) -> list[AcceptedRow]:
    columns = [column.to_pylist() for column in _read_parquet(data, _ACCEPTED).columns]
    return [
        AcceptedRow(row, json.loads(fields), tuple(given), tuple(sha256s), tuple(sources), digest)
        for row, fields, given, sha256s, sources, digest in zip(*columns, strict=True)
    ]


def _digest(row: AcceptedRow, fields: str) -> str:
    """32 hex digits: equal for rows that say the same, wherever their images came from."""
    said = "\n".join((fields, *row.given, *row.sha256s, *filter(None, (row.embedding,))))
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def write_rejected(rows: Iterable[RejectedRow]) -> bytes:
    listed = [{name: getattr(each, name) for name in _REJECTED.names} for each in rows]
    return _parquet(pa.Table.from_pylist(listed, schema=_REJECTED))


def read_rejected(data: bytes) -> list[RejectedRow]:
    return [RejectedRow(**each) for each in _read_parquet(data, _REJECTED).to_pylist()]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Rows of one embeddings file: embedding float32 [n, d] before the linear part, norm [n].

    `thumbnails`, uint8 [n, 16, 16, 3] of near_duplicates, are missing in files made elsewhere.
    """

    sha256s: tuple[str, ...]
    embeddings: Float32
    norms: Float32
    thumbnails: Pixels | None = None

    def take(self, rows: Sequence[int]) -> "Embeddings":
        """Only these rows, in this order."""
        return Embeddings(
            tuple(self.sha256s[row] for row in rows),
            self.embeddings[list(rows)],
            self.norms[list(rows)],
            None if self.thumbnails is None else self.thumbnails[list(rows)],
        )


def write_embeddings(rows: Embeddings) -> bytes:
    """Embedding vectors as float32 (normalised where the model says so), their norms beside."""
    count, dimension = rows.embeddings.shape
    flat = pa.array(np.ascontiguousarray(rows.embeddings, np.float32).reshape(-1))
    columns = {
        "sha256": pa.array(rows.sha256s, pa.string()),
        "norm": pa.array(np.asarray(rows.norms, np.float32)),
        "embedding": pa.FixedSizeListArray.from_arrays(flat, dimension),
    }
    if rows.thumbnails is not None:
        squares = pa.array(np.ascontiguousarray(rows.thumbnails, np.uint8).reshape(-1))
        columns["thumbnail"] = pa.FixedSizeListArray.from_arrays(squares, _SQUARES)
    table = pa.table(columns).replace_schema_metadata({"dimension": str(dimension)})
    if table.num_rows != count:
        raise ValueError(f"{len(rows.sha256s)} hashes for {count} embeddings")
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def read_embeddings(data: bytes) -> Embeddings:
    """Raises DataLoss for bytes that are no embeddings file."""
    try:
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all().combine_chunks()
        dimension = int(table.schema.metadata[b"dimension"])
        flat = table["embedding"].combine_chunks().flatten().to_numpy()
        norms = table["norm"].to_numpy()
        thumbnails = None
        if "thumbnail" in table.column_names:
            squares = table["thumbnail"].combine_chunks().flatten().to_numpy()
            thumbnails = squares.reshape(-1, THUMBNAIL, THUMBNAIL, 3)
        sha256s = tuple(table["sha256"].to_pylist())
        return Embeddings(sha256s, flat.reshape(-1, dimension), norms, thumbnails)
    except (pa.ArrowInvalid, KeyError, TypeError) as error:
        raise DataLoss(f"embeddings file is damaged: {error}") from error


@dataclass(frozen=True, slots=True)
class PlannedPoint:
    """One line of an index plan.

    `action` is `upsert` (row `embedding_rows[i]` of file `embeddings[i]` for each member of the
    model), `payload` or `delete`; `revision` orders it against other writes of the same point.
    """

    action: str
    point_id: str
    revision: int
    payload: Mapping[str, Any]
    embeddings: tuple[str, ...] = ()
    embedding_rows: tuple[int, ...] = ()


_PLAN = pa.schema(
    [
        ("action", pa.string()),
        ("point_id", pa.string()),
        ("revision", pa.int64()),
        ("payload", pa.string()),
        ("embeddings", pa.list_(pa.string())),
        ("embedding_rows", pa.list_(pa.int64())),
    ]
)


def write_plan(points: Sequence[PlannedPoint]) -> bytes:
    listed = [
        {
            **{name: getattr(each, name) for name in _PLAN.names},
            "payload": _encode(each.payload),
        }
        for each in points
    ]
    return _parquet(pa.Table.from_pylist(listed, schema=_PLAN))


def read_plan(data: bytes) -> list[PlannedPoint]:
    return [
        PlannedPoint(
            each["action"],
            each["point_id"],
            each["revision"],
            json.loads(each["payload"]),
            tuple(each["embeddings"]),
            tuple(each["embedding_rows"]),
        )
        for each in _read_parquet(data, _PLAN).to_pylist()
    ]


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _read_parquet(data: bytes, schema: pa.Schema) -> pa.Table:
    try:
        return pq.ParquetFile(pa.BufferReader(data)).read(schema.names).select(schema.names)
    except (pa.ArrowInvalid, KeyError) as error:
        raise DataLoss(f"shard file is damaged: {error}") from error
