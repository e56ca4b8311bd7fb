"""Parquet, through pyarrow, which is an extra: `pip install shelflens[parquet]`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shelflens.errors import InvalidManifest
from shelflens.manifests.columns import ColumnMap
from shelflens.manifests.fields import make_row
from shelflens.manifests.rows import SourceRow

_ROWS_AT_ONCE = 256


class ParquetRows:
    """Rows of a Parquet file; only the columns that are used are read."""

    def __init__(self, path: Path, columns: ColumnMap, separator: str) -> None:
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
        self._separator = separator
        self._arrow: Any = pyarrow
        self._seen = 0
        with self._open() as file:
            self._binding = columns.bind(tuple(file.schema_arrow.names))
            self._total: int = file.metadata.num_rows
        self.notes: Sequence[str] = self._binding.describe()
        self.folder = path.parent

    def __iter__(self) -> Iterator[SourceRow]:
        used = [name for names in self._binding.columns.values() for name in names]
        self._seen = 0
        with self._open() as file:
            batches = file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=used)
            while (batch := self._next(batches)) is not None:
                for record in batch.to_pylist():
                    self._seen += 1
                    yield make_row(self._seen, record, self._binding, self._separator)

    def closing_notes(self) -> Sequence[str]:
        return ()

    def position(self) -> float:
        return self._seen / self._total if self._total else 1.0

    def _open(self) -> Any:
        try:
            # Without these two a whole row group is read ahead into memory.
            return self._arrow.parquet.ParquetFile(
                self._path, pre_buffer=False, buffer_size=1 << 20
            )
        except (OSError, self._arrow.ArrowException) as error:
            raise InvalidManifest(f"{self._path} is no readable Parquet file: {error}") from None

    def _next(self, batches: Iterator[Any]) -> Any:
        try:
            return next(batches, None)
        except (OSError, self._arrow.ArrowException) as error:
            text = f"{self._path} is damaged after row {self._seen}: {error}"
            raise InvalidManifest(text) from None
