"""Embeddings that were made elsewhere, on their way into an import."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Self

from shelflens.errors import FailedPrecondition, InvalidArgument, InvalidManifest
from shelflens.importing.options import ImportOptions
from shelflens.manifests import Rows, SourceRow
from shelflens.manifests.npy import NpyFile
from shelflens.names import model_name
from shelflens.values import Catalog

_LOOKED_AT = 100
_VALUE_BYTES = 4


class BroughtEmbeddings:
    """What an import was told about its embeddings, and where they are: a file or a column."""

    def __init__(self, model: str, distance: str, file: NpyFile | None, column: str | None) -> None:
        self.model = model_name(model)
        self.distance = distance
        self.dimension = 0  # known once `check` has looked
        self.column = column
        self.file = file

    @classmethod
    def of(cls, options: ImportOptions) -> Self | None:
        """None where the rows bring none. Raises InvalidArgument, InvalidManifest."""
        model, path = options.get("embeddings_model"), options.get("embeddings")
        column = mapped_column(options.get("mapping", ()))
        distance = options.get("embeddings_distance") or ""
        if not model:
            if path or column or distance:
                raise InvalidArgument(
                    "embeddings need the name of the model that made them: give embeddings_model "
                    "(--embeddings-model NAME)",
                    reason="INVALID_OPTION",
                )
            return None
        if path and column:
            raise InvalidArgument(
                "embeddings come from a file or from a column, not both", reason="INVALID_OPTION"
            )
        return cls(model, distance or "cosine", NpyFile(Path(path)) if path else None, column)

    def close(self) -> None:
        """Lets the file go."""
        if self.file is not None:
            self.file.close()

    def check(self, rows: Rows) -> None:
        """Finds the dimension before anything is sent, and compares the numbers of rows.

        Raises InvalidManifest (EMBEDDINGS_ROW_COUNT, EMBEDDINGS_MISSING).
        """
        if self.file is not None:
            self.dimension = self.file.columns
            last = 0
            for last in (row.row for row in rows):  # noqa: B007 - the last one is meant
                pass
            if last != self.file.rows:
                raise InvalidManifest(
                    f"the manifest has {last} rows and the file {self.file.rows} embeddings: row i "
                    "of one belongs to row i of the other",
                    reason="EMBEDDINGS_ROW_COUNT",
                )
            return
        given = (len(row.embedding) for row in rows if row.embedding is not None)
        # The first may be one that is to be refused.
        lengths = Counter(islice(given, _LOOKED_AT)).most_common(1)
        if not lengths or not lengths[0][0]:
            raise InvalidManifest("no row has an embedding", reason="EMBEDDINGS_MISSING")
        self.dimension = lengths[0][0] // _VALUE_BYTES

    def check_catalog(self, found: Catalog) -> None:
        """Raises FailedPrecondition (EMBEDDING_MODEL_DIFFERS, DIMENSION_MISMATCH)."""
        if found.model != self.model or not found.external_embeddings:
            what = "is served by" if found.external_embeddings else "makes its own embeddings with"
            raise FailedPrecondition(
                f"{found.name} {what} {found.model}: import embeddings by {self.model} into a "
                "catalogue of their own",
                reason="EMBEDDING_MODEL_DIFFERS",
            )
        if found.embedding_dimension != self.dimension:
            raise FailedPrecondition(
                f"the embeddings have {self.dimension} values, those of {found.name} have "
                f"{found.embedding_dimension}: import them into a catalogue of their own",
                reason="DIMENSION_MISMATCH",
            )

    def attached(self, rows: Rows) -> Iterator[SourceRow]:
        """The rows, each with its embedding."""
        file = self.file
        if file is None:
            yield from rows
            return
        for row in rows:
            if not 1 <= row.row <= file.rows:
                raise InvalidManifest(
                    "the manifest became longer while it was read", reason="EMBEDDINGS_ROW_COUNT"
                )
            yield row if row.problem else replace(row, embedding=file.row(row.row - 1))


def mapped_column(mapping: Mapping[str, str] | Sequence[str]) -> str | None:
    """The column that the user named for embeddings (`embedding=COLUMN`)."""
    pairs = mapping.items() if isinstance(mapping, Mapping) else (_cut(each) for each in mapping)
    return next((column for name, column in pairs if name.strip() == "embedding" and column), None)


def other_columns(mapping: Mapping[str, str] | Sequence[str]) -> list[str]:
    """The mapping without that."""
    if isinstance(mapping, Mapping):
        mapping = [f"{name}={column}" for name, column in mapping.items()]
    return [each for each in mapping if _cut(each)[0].strip() != "embedding"]


def _cut(pair: str) -> tuple[str, str]:
    name, _, column = pair.partition("=")
    return name, column
