"""Which reader a source needs, told by its extension, else by its first bytes."""

from pathlib import Path

from shelflens.errors import InvalidManifest
from shelflens.manifests import choosing
from shelflens.manifests.columns import ColumnMap
from shelflens.manifests.delimited import DelimitedRecords
from shelflens.manifests.directory import DirectoryRecords
from shelflens.manifests.json_lines import JsonLinesRecords
from shelflens.manifests.parquet import ParquetRecords
from shelflens.manifests.preset_binding import bind
from shelflens.manifests.preset_rows import PresetMaker
from shelflens.manifests.reading import ManifestRows, PlainMaker
from shelflens.manifests.records import Records
from shelflens.manifests.rows import Rows
from shelflens.manifests.vectors import embedding_column
from shelflens.manifests.xml_items import XmlRecords

_BY_EXTENSION = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xml": "xml",
    ".rss": "xml",
    ".atom": "xml",
}


def open_manifest(
    source: Path,
    columns: ColumnMap | None = None,
    *,
    separator: str = "|",
    preset: str | Path | None = None,
    split: str | None = None,
    has_embeddings: bool = False,
    embedding: str | None = None,
) -> Rows:
    """The rows of a manifest file or of a directory.

    `separator` parts several images, labels or categories in one cell. `preset` is the name of a
    built-in preset, a YAML file, or "none"; without it a preset is used where the source looks
    like one, and a note says so. `split` is the part of a data set to read. With `has_embeddings`
    every row has one in the column `embedding`, or in the one that has such a name.

    Raises InvalidManifest for what cannot be read at all (MANIFEST_NOT_FOUND, MANIFEST_UNREADABLE
    and more) and InvalidArgument for presets and splits that do not exist or do not fit.
    """
    columns = columns or ColumnMap()
    if source.is_dir():
        if has_embeddings:
            raise _no_column(f"{source} is a directory")
        return _open_directory(source, columns, separator, preset, split)
    records = open_records(source)
    choice = choosing.choose_for_file(preset, records.columns)
    part = choosing.part_of_file(choice.preset, source, split)
    if choice.preset is None:
        if not has_embeddings:
            return ManifestRows(records, PlainMaker(columns.bind(records.columns), separator))
        vectors = embedding_column(records.columns, embedding)
        bound_columns = columns.bind([each for each in records.columns if each != vectors])
        return ManifestRows(records, PlainMaker(bound_columns, separator, vectors))
    if has_embeddings:
        raise _no_column(f"preset {choice.preset.name} has none (--preset none turns it off)")
    bound = bind(choice.preset, part, records.columns, records.open_ended, columns)
    return ManifestRows(records, PresetMaker(bound, separator), notes=choice.notes)


def _no_column(why: str) -> InvalidManifest:
    return InvalidManifest(
        f"there is no column of embeddings: {why}; give a file of them with --embeddings",
        reason="COLUMN_MISSING",
    )


def _open_directory(
    folder: Path, columns: ColumnMap, separator: str, preset: str | Path | None, split: str | None
) -> Rows:
    chosen, notes = choosing.choose_for_directory(preset, folder)
    part = choosing.part_of_directory(chosen, folder, split)
    records: Records
    if part.files:
        if columns.chosen:
            raise InvalidManifest("a directory of images has no columns to map")
        notes = notes or (f"read as {chosen.title}",)
        records = DirectoryRecords(folder, choosing.patterns(chosen, part))
    else:
        records = open_records(folder / part.manifest)
    bound = bind(chosen, part, records.columns, records.open_ended, columns)
    return ManifestRows(records, PresetMaker(bound, separator), folder=folder, notes=notes)


def open_records(source: Path) -> Records:
    """The records of a file. Raises InvalidManifest."""
    if not source.exists():
        raise InvalidManifest(f"{source} does not exist", reason="MANIFEST_NOT_FOUND")
    if not source.is_file():
        raise InvalidManifest(f"{source} is neither a file nor a directory")
    match _BY_EXTENSION.get(source.suffix.lower()) or _guess(source):
        case "parquet":
            return ParquetRecords(source)
        case "jsonl":
            return JsonLinesRecords(source)
        case "xml":
            return XmlRecords(source)
        case "tsv":
            return DelimitedRecords(source, delimiter="\t")
        case _:
            return DelimitedRecords(source)


def _guess(source: Path) -> str:
    try:
        with source.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise InvalidManifest(f"{source}: {error.strerror or error}") from None
    if start.startswith(b"PAR1"):
        return "parquet"
    text = start.lstrip(b"\xef\xbb\xbf \r\n\t")
    if text.startswith(b"{"):
        return "jsonl"
    return "xml" if text.startswith((b"<?xml", b"<rss", b"<feed")) else "csv"
