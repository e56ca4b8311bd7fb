"""The pages of datasets and evaluations in the object store, as Parquet.

A dataset is two lists of images, `queries` and `gallery`, each in pages of at most PAGE rows
(keys.page_key). For a model, a file of places with the same number lies beside each page: where the
embeddings of its rows are.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from services.core.domain.errors import DataLoss

QUERIES, GALLERY = "queries", "gallery"
PAGE = 4_096


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """An image of a dataset and what it shows.

    `product` is the id within the catalogue. `group` tells bursts of alike photos apart, which are
    resampled together; it is empty where products are. `absent` queries have no relevant image in
    the gallery; false in drafts and galleries. `picture_hash` (near_duplicates) and where its
    thumbnail is, `embeddings` (object key) and `embedding_row`, are of drafts; empty where unknown.
    """

    sha256: str
    product: str
    sku: str = ""
    title: str = ""
    category: str = ""
    parent: str = ""
    group: str = ""
    absent: bool = False
    picture_hash: str = ""
    embeddings: str = ""
    embedding_row: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the embedding of the same row of the page is: row `rows[i]` of file `files[i]` for
    member i of the model; both are empty for an image that could not be embedded."""

    files: tuple[str, ...]
    rows: tuple[int, ...]


_ROWS = pa.schema(
    [
        ("sha256", pa.string()),
        ("product", pa.string()),
        ("sku", pa.string()),
        ("title", pa.string()),
        ("category", pa.string()),
        ("parent", pa.string()),
        ("group", pa.string()),
        ("absent", pa.bool_()),
        ("picture_hash", pa.string()),
        ("embeddings", pa.string()),
        ("embedding_row", pa.int64()),
    ]
)
_PLACES = pa.schema([("files", pa.list_(pa.string())), ("rows", pa.list_(pa.int64()))])


def write_rows(rows: Sequence[DatasetRow]) -> bytes:
    columns = {name: [getattr(each, name) for each in rows] for name in _ROWS.names}
    return _write(pa.table(columns, schema=_ROWS))


def read_rows(data: bytes) -> list[DatasetRow]:
    """Raises DataLoss for bytes that are no page."""
    columns = [column.to_pylist() for column in _read(data, _ROWS).columns]
    return [DatasetRow(*each) for each in zip(*columns, strict=True)]


def write_places(places: Sequence[Place]) -> bytes:
    columns = {"files": [each.files for each in places], "rows": [each.rows for each in places]}
    return _write(pa.table(columns, schema=_PLACES))


def read_places(data: bytes) -> list[Place]:
    """Raises DataLoss for bytes that are no places."""
    files, rows = (column.to_pylist() for column in _read(data, _PLACES).columns)
    return [Place(tuple(each), tuple(at)) for each, at in zip(files, rows, strict=True)]


def _write(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _read(data: bytes, schema: pa.Schema) -> pa.Table:
    try:
        return pq.ParquetFile(pa.BufferReader(data)).read(schema.names).select(schema.names)
    except (pa.ArrowInvalid, KeyError) as error:
        raise DataLoss(f"dataset file is damaged: {error}") from error
