"""A directory of images: each sub-folder is a product, and each file beside them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from shelflens.errors import InvalidManifest
from shelflens.manifests.fields import shown
from shelflens.manifests.rows import Problem, SourceRow

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
_NAMES_AT_ONCE = 10_000  # sorted in pieces of this size, so that memory stays bounded
_IMAGES_A_ROW = 1_000


class DirectoryRows:
    """Rows of a directory.

    The name of a sub-folder is the SKU of everything below it; a file at the top is a product of
    its own with its stem as SKU. Hidden names are skipped, other extensions are counted.
    """

    def __init__(self, path: Path) -> None:
        """Raises InvalidManifest for a directory that cannot be listed or has no image."""
        self.folder = path
        self._total = self._seen = self._ignored = 0
        for file in _files(path):
            self._total += _is_image(file)
        if not self._total:
            kinds = " ".join(each[1:] for each in EXTENSIONS)
            raise InvalidManifest(f"{path} has no images ({kinds})", reason="NO_IMAGES")
        self.notes: Sequence[str] = [
            f"{self._total} images; a sub-folder's name is the SKU, else the file's name"
        ]

    def __iter__(self) -> Iterator[SourceRow]:
        self._seen = self._ignored = 0
        row = 0
        for entry in _entries(self.folder):
            if entry.is_dir(follow_symlinks=False):
                sku, files = entry.name, self._images(_files(Path(entry.path)))
            else:
                sku, files = os.path.splitext(entry.name)[0], self._images([entry.path])
            while images := list(islice(files, _IMAGES_A_ROW)):
                row += 1
                yield self._row(row, sku, images)

    def closing_notes(self) -> Sequence[str]:
        if not self._ignored:
            return ()
        return (f"{self._ignored} files with other extensions were left out",)

    def position(self) -> float:
        return min(1.0, self._seen / self._total)

    def _images(self, files: Iterable[str]) -> Iterator[str]:
        for file in files:
            if _is_image(file):
                self._seen += 1
                yield os.path.relpath(file, self.folder)
            else:
                self._ignored += 1

    @staticmethod
    def _row(row: int, sku: str, images: list[str]) -> SourceRow:
        for name in (sku, *images):
            try:
                name.encode()
            except UnicodeEncodeError:
                problem = Problem("TEXT_UNDECODABLE", "image", shown(name))
                return SourceRow(row, problem=problem)
        return SourceRow(row, {"sku": sku}, images)


def _is_image(file: str) -> bool:
    return file.lower().endswith(EXTENSIONS)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = (entry for entry in entries if not entry.name.startswith("."))
            while some := list(islice(visible, _NAMES_AT_ONCE)):
                yield from sorted(some, key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidManifest(f"{folder}: {error.strerror or error}") from None


def _files(folder: Path) -> Iterator[str]:
    """Every visible file below, folder by folder. Linked folders are not entered."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield entry.path
