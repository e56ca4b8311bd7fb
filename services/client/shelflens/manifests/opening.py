"""Which reader a source needs, told by its extension, else by its first bytes."""

from pathlib import Path

from shelflens.errors import InvalidManifest
from shelflens.manifests.columns import ColumnMap
from shelflens.manifests.delimited import DelimitedRows
from shelflens.manifests.directory import DirectoryRows
from shelflens.manifests.json_lines import JsonLinesRows
from shelflens.manifests.parquet import ParquetRows
from shelflens.manifests.rows import Rows

_BY_EXTENSION = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def open_manifest(source: Path, columns: ColumnMap | None = None, *, separator: str = "|") -> Rows:
    """The rows of a manifest file or of a directory of images.

    `separator` parts several images, labels or categories in one cell. Raises InvalidManifest for
    what cannot be read at all (MANIFEST_NOT_FOUND, MANIFEST_UNREADABLE and more).
    """
    columns = columns or ColumnMap()
    if source.is_dir():
        if columns.chosen:
            raise InvalidManifest("a directory of images has no columns to map")
        return DirectoryRows(source)
    if not source.exists():
        raise InvalidManifest(f"{source} does not exist", reason="MANIFEST_NOT_FOUND")
    if not source.is_file():
        raise InvalidManifest(f"{source} is neither a file nor a directory")
    match _BY_EXTENSION.get(source.suffix.lower()) or _guess(source):
        case "parquet":
            return ParquetRows(source, columns, separator)
        case "jsonl":
            return JsonLinesRows(source, columns, separator)
        case "tsv":
            return DelimitedRows(source, columns, separator, delimiter="\t")
        case _:
            return DelimitedRows(source, columns, separator)


def _guess(source: Path) -> str:
    try:
        with source.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise InvalidManifest(f"{source}: {error.strerror or error}") from None
    if start.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") else "csv"
