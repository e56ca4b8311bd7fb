"""Where the rows and images of an import come from: files, or an archive of both."""

import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Protocol

from shelflens.archives.kinds import HEAD, Kind, kind_of
from shelflens.archives.refusal import ArchiveLimits, BadArchive
from shelflens.archives.streams import PackedFile
from shelflens.errors import InvalidArgument, InvalidManifest
from shelflens.images import FolderImages, ImageFolder, ImageSource
from shelflens.importing.batches import Finished
from shelflens.importing.contents import ContentUploader
from shelflens.importing.packed_manifest import OpenRows, PackedManifest
from shelflens.importing.tar_source import TarSource
from shelflens.importing.zip_source import ZipSource
from shelflens.manifests import Rows


class Source(Protocol):
    """Prepared, sent ahead, then read row by row, and closed whatever happens."""

    def prepare(self) -> None:
        """Finds out what can be refused before the server is asked. Raises InvalidManifest."""

    def send_ahead(self, contents: ContentUploader) -> Generator[Finished, None, None]:
        """Sends images that can be read only once, before the rows; `rows` is 0 in each."""

    @property
    def rows(self) -> Rows:
        """From `prepare` on, or after `send_ahead` where `is_sent_ahead`."""

    @property
    def images(self) -> ImageSource:
        """Like `rows`."""

    @property
    def is_sent_ahead(self) -> bool:
        """Whether the images are sent before the rows are read."""

    def notes(self) -> Sequence[str]:
        """What was decided, for people, once `rows` are there."""

    def closing_notes(self) -> Sequence[str]:
        """What only reading to the end could tell."""

    def close(self) -> None:
        """Removes what was temporary."""


class PlainSource:
    """A manifest and a folder of images, or a folder that is both."""

    is_sent_ahead = False

    def __init__(self, rows: Rows, images: ImageSource) -> None:
        self.rows = rows
        self.images = images

    def prepare(self) -> None:
        """Nothing: files were looked at on opening."""

    def send_ahead(self, contents: ContentUploader) -> Generator[Finished, None, None]:
        yield from ()

    def notes(self) -> Sequence[str]:
        return self.rows.notes

    def closing_notes(self) -> Sequence[str]:
        return self.rows.closing_notes()

    def close(self) -> None:
        """Nothing is temporary."""


def open_source(
    source: Path,
    open_rows: OpenRows,
    stop: threading.Event,
    *,
    root: str | Path | None = None,
    member: str | None = None,
    validate_only: bool = False,
    limits: ArchiveLimits | None = None,
) -> Source:
    """The kind of source that `source` is, told by its first bytes.

    `root` is where image references start: a folder, an archive of images, or, where `source` is
    an archive, a folder in it. `member` is the manifest of an archive. Raises InvalidManifest and
    InvalidArgument.
    """
    limits = limits or ArchiveLimits()
    packed = _look(source, stop)
    if packed:
        folder = None if root is None else str(root)
        manifest = PackedManifest(source.name, open_rows, member=member, folder=folder)
        return _archive(source, packed, manifest, limits, stop)
    if member is not None:
        raise InvalidArgument(f"{source} is no archive: a manifest inside it cannot be chosen")
    rows = open_rows(source)
    if root is not None and (packed := _look(Path(root), stop)):
        return _archive(Path(root), packed, PackedManifest.beside(rows), limits, stop)
    folder_images = ImageFolder(root if root is not None else rows.folder)
    return PlainSource(rows, FolderImages(folder_images, look_inside=validate_only))


def _archive(
    path: Path,
    packed: tuple[Kind, PackedFile, int],
    manifest: PackedManifest,
    limits: ArchiveLimits,
    stop: threading.Event,
) -> Source:
    kind, file, size = packed
    if kind != "zip":
        return TarSource(kind, file, size, manifest, limits, stop)
    file.close()
    if not size:
        raise BadArchive(
            "ARCHIVE_UNSUPPORTED",
            "a zip archive cannot be read from a pipe: save it to a file, or pipe a tar archive",
        )
    return ZipSource(path, size, manifest, limits, stop)


def _look(path: Path, stop: threading.Event) -> tuple[Kind, PackedFile, int] | None:
    """The kind of archive, its bytes from the beginning, and their number (0: a pipe)."""
    if not path.exists() or path.is_dir():
        return None
    try:
        file = path.open("rb", buffering=1 << 20)
        head = file.read(HEAD)
        size = path.stat().st_size if path.is_file() else 0
    except OSError as error:
        raise InvalidManifest(f"{path}: {error.strerror or error}") from None
    kind = kind_of(head)
    if kind not in ("", "foreign"):
        return kind, PackedFile(head, file, stop), size
    file.close()
    if kind == "foreign":
        raise BadArchive("ARCHIVE_UNSUPPORTED", f"{path} is neither zip nor tar; pack it as one")
    if not path.is_file():
        raise InvalidManifest(f"{path} brings no tar archive; write a manifest to a file first")
    return None
