"""Parquet, through pyarrow, which is an extra: `pip install shelflens[parquet]`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shelflens.errors import InvalidManifest
from shelflens.manifests.records import Numbered, Record

_ROWS_AT_ONCE = 256
_BYTES_AT_ONCE = 64 << 20


class ParquetRecords:
    """Records of a Parquet file; only the columns that are used are read."""

    open_ended = False
    notes: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        """Raises InvalidManifest, also when pyarrow is not installed (PYARROW_MISSING)."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise InvalidManifest(
                "reading Parquet needs pyarrow: pip install 'shelflens[parquet]'",
                reason="PYARROW_MISSING",
            ) from None
        self._path = path
        self._arrow: Any = pyarrow
        self._seen = 0
        self._complete = False
        with self._open() as file:
            self.columns: Sequence[str] = tuple(file.schema_arrow.names)
            self._total: int = file.metadata.num_rows
            self._repeating = _texts(pyarrow, file.schema_arrow)
        for name in self.columns:
            if self.columns.count(name) > 1:
                raise InvalidManifest(f"{path} has two columns '{name}'", reason="COLUMN_TWICE")
        self.folder = path.parent

    def read(self, used: Sequence[str]) -> Iterator[Numbered]:
        self._seen, self._complete = 0, False
        with self._open(self._repeating) as file:
            at_once = _rows_at_once(file.metadata)
            batches = file.iter_batches(batch_size=at_once, columns=list(used))
            while (batch := self._next(batches)) is not None:
                for record in self._records(batch):
                    self._seen += 1
                    yield self._seen, record
        self._complete = self._seen == self._total

    def closing_notes(self) -> Sequence[str]:
        return ()

    def position(self) -> float:
        return self._seen / self._total if self._total else 1.0

    def complete(self) -> bool:
        return self._complete

    def _open(self, repeating: Sequence[str] = ()) -> Any:
        try:
            # Without the first two a whole row group is read ahead into memory. Without the third
            # a text that stands in the file once and is repeated by every row is held as often.
            return self._arrow.parquet.ParquetFile(
                self._path,
                pre_buffer=False,
                buffer_size=1 << 20,
                read_dictionary=list(repeating),
            )
        except (OSError, self._arrow.ArrowException) as error:
            raise InvalidManifest(f"{self._path} is no readable Parquet file: {error}") from None

    def _next(self, batches: Iterator[Any]) -> Any:
        try:
            return next(batches, None)
        except (OSError, self._arrow.ArrowException) as error:
            text = f"{self._path} is damaged after row {self._seen}: {error}"
            raise InvalidManifest(text) from None

    def _records(self, batch: Any) -> Iterator[Record]:
        names = batch.schema.names
        columns = [self._values(column) for column in batch.columns]
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))

    def _values(self, column: Any) -> list[object]:
        if isinstance(column, self._arrow.DictionaryArray):
            places = column.indices.to_pylist()
            known = {at: self._value(column.dictionary[at]) for at in {*places} - {None}}
            return [known.get(at) for at in places]
        try:
            values: list[object] = column.to_pylist()
        except (ValueError, OverflowError, self._arrow.ArrowException):
            return [self._value(each) for each in column]
        return values

    def _value(self, scalar: Any) -> object:
        """A value; one that cannot be given becomes what `fields` makes a Problem of."""
        try:
            value: object = scalar.as_py()
        except UnicodeDecodeError as error:  # marked as decoding.py does
            return error.object.decode("utf-8", "surrogateescape")
        except (ValueError, OverflowError, self._arrow.ArrowException) as error:
            return str(error).encode()  # bytes are no text
        return value


def _texts(arrow: Any, schema: Any) -> list[str]:
    kinds = (arrow.types.is_string, arrow.types.is_large_string, arrow.types.is_binary)
    return [each.name for each in schema if any(is_kind(each.type) for is_kind in kinds)]


def _rows_at_once(metadata: Any) -> int:
    """Fewer at a time where rows are long."""
    groups = (metadata.row_group(at) for at in range(metadata.num_row_groups))
    longest = max((each.total_byte_size / max(1, each.num_rows) for each in groups), default=1.0)
    return max(1, min(_ROWS_AT_ONCE, int(_BYTES_AT_ONCE / max(1.0, longest))))
