"""Rows of an archive without a manifest: as of a directory of images."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from posixpath import splitext

from shelflens.archives.index import MemberIndex
from shelflens.archives.refusal import BadArchive
from shelflens.manifests.rows import SourceRow

_IMAGES_A_ROW = 1_000


class FolderRows:
    """The name of a folder is the SKU of all images below it; an image beside them is a product.

    One folder around everything, as archives of a folder have it, is left out of account.
    """

    def __init__(self, index: MemberIndex) -> None:
        """Raises BadArchive (NO_IMAGES)."""
        self._index = index
        self._total = self._seen = 0
        tops: set[str] = set()
        deep = False
        for name in index.pictures():
            self._total += 1
            parts = name.split("/", 2)
            if len(tops) < 2:
                tops.add(parts[0] if len(parts) > 1 else "")
            deep = deep or len(parts) > 2
        if not self._total:
            raise BadArchive("NO_IMAGES", "the archive has neither a manifest nor an image")
        (top, *others) = tops
        self._around = f"{top}/" if top and not others and deep else ""
        inside = f" in {self._around}" if self._around else ""
        self.notes: Sequence[str] = [
            f"{self._total} images{inside}; a folder's name is the SKU, else the file's name"
        ]
        self.folder = Path()

    def __iter__(self) -> Iterator[SourceRow]:
        self._seen = row = 0
        for sku, names in groupby(self._index.pictures(), self._sku):
            images: list[str] = []
            for name in names:
                images.append(name)
                self._seen += 1
                if len(images) == _IMAGES_A_ROW:
                    row += 1
                    yield SourceRow(row, {"sku": sku}, images)
                    images = []
            if images:
                row += 1
                yield SourceRow(row, {"sku": sku}, images)

    def closing_notes(self) -> Sequence[str]:
        return ()

    def complete(self) -> bool:
        return self._seen == self._total

    def position(self) -> float:
        return min(1.0, self._seen / self._total)

    def _sku(self, name: str) -> str:
        inner = name.removeprefix(self._around)
        first, slash, _ = inner.partition("/")
        return first if slash else splitext(first)[0]
