"""The records as erasures and exports see them: which bytes belong to whom, and where they lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.core.work_ports import Stage


@dataclass(frozen=True, slots=True)
class Remains:
    """What the records hold of a product or one image of it, tombstones included.

    `sources` are the references that its images came from; `live` counts images not deleted.
    """

    sku: str
    sha256s: tuple[str, ...]
    sources: tuple[str, ...]
    live: int


@dataclass(frozen=True, slots=True)
class EmbeddingFile:
    """One embeddings file of one model."""

    id: int
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A shard whose worker may fetch images (INGEST), hold some (EMBED: `sha256s`), or read
    embeddings files (INDEX)."""

    operation: str
    sequence: int
    stage: Stage
    message: str
    sha256s: tuple[str, ...]


class ErasingRecords(Protocol):
    """What erasing looks up and removes."""

    def remains(self, catalog: str, product: str, sha256: str) -> Remains:
        """Of the whole product where `sha256` is empty.

        Raises NotFound (PRODUCT_NOT_FOUND, IMAGE_NOT_FOUND) where there is not even a tombstone.
        """

    def claimed(self, operation: str, after: str, limit: int) -> list[str]:
        """Hashes greater than `after` that the operation claimed, in their order."""

    def shown(self, sha256s: Sequence[str]) -> set[str]:
        """Those that are an image, not deleted, of any product of any catalogue."""

    def files_of(self, sha256s: Sequence[str]) -> list[EmbeddingFile]:
        """The files that hold embeddings of these images, by any model."""

    def known_files(self, keys: Sequence[str]) -> set[str]:
        """Those that are the object of a file which holds embeddings."""

    def rows_of(self, file: EmbeddingFile, sha256s: Sequence[str]) -> dict[str, int]:
        """Hash -> row of those whose embedding is in this file."""

    def move(self, file: EmbeddingFile, key: str, kept: Sequence[str], gone: Sequence[str]) -> None:
        """The rows of `kept` are now those of the object `key`, in this order; `gone` have none.

        The file keeps its id. One without rows is forgotten.
        """

    def forget_file(self, file: EmbeddingFile) -> None:
        """Forgets the file and every row in it: its images count as not embedded."""

    def scrub(self, catalog: str, product: str, sha256s: Sequence[str]) -> None:
        """Empties the tombstones: what is left are names, hashes and revisions.

        Products and images that are not deleted stay as they are.
        """

    def forget_refusals(self, sha256s: Sequence[str]) -> None:
        """Forgets that these bytes were no usable picture."""

    def under_way(self) -> list[UnderWay]:
        """Shards of all operations that are to be embedded or indexed, or are being ingested."""


@dataclass(frozen=True, slots=True)
class StoredEmbedding:
    """A searchable image and the row of its embedding in the file that was asked for."""

    product: str
    sku: str
    sha256: str
    row: int


class ExportRecords(Protocol):
    """The embeddings of a catalogue's searchable images, file by file."""

    def files(self, catalog: str, digest: str, after: int, limit: int) -> list[int]:
        """Ids greater than `after` of the files that hold any, in their order."""

    def key(self, file: int) -> str:
        """The object of a file; empty when the file is gone."""

    def rows(
        self, catalog: str, digest: str, file: int, sha256s: Sequence[str]
    ) -> list[StoredEmbedding]:
        """Of these images, those that are searchable and embedded in this file, by row."""
