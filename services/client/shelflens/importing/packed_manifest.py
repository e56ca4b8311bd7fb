"""The manifest of an archive: chosen among its members, kept in a temporary file, opened."""

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from shelflens.archives.folder_rows import FolderRows
from shelflens.archives.index import MemberIndex
from shelflens.archives.manifest_choice import ManifestChoice
from shelflens.archives.names import member_name, suffix
from shelflens.archives.refusal import BadArchive, temporary_space
from shelflens.errors import InvalidArgument, InvalidManifest
from shelflens.manifests import Rows

_ENDING = re.compile(r"\.[a-z]{2,8}")
OpenRows = Callable[[Path], Rows]


class PackedManifest:
    """Rows for the images of an archive, from a member of it or from beside it."""

    def __init__(
        self,
        archive: str,
        open_rows: OpenRows | None,
        *,
        member: str | None = None,
        folder: str | None = None,
    ) -> None:
        """`archive` is a name for messages, `folder` where references start inside it."""
        self.choice = ManifestChoice(None if member is None else _inside(member))
        self.rows: Rows | None = None
        self._archive = archive
        self._open_rows = open_rows
        self._folder = None if folder is None else _inside(folder)
        self._name: str | None = None
        self._below = ""

    @classmethod
    def beside(cls, rows: Rows) -> "PackedManifest":
        """For an archive of images whose manifest lies elsewhere."""
        manifest = cls("", None, folder="")
        manifest.rows = rows
        return manifest

    @property
    def is_inside(self) -> bool:
        """Whether it is looked for in the archive."""
        return self._open_rows is not None

    @property
    def folder(self) -> str:
        """Where references start in the archive: the manifest's folder unless told otherwise."""
        if self._folder is not None:
            return self._folder
        return posixpath.join(posixpath.dirname(self._name or ""), self._below)

    def keep(self, name: str, pieces: Iterable[bytes], space: Path) -> Path:
        """Writes member `name` to a file in `space`, of a name that the archive cannot choose."""
        ending = suffix(name)
        path = space / f"manifest{ending if _ENDING.fullmatch(ending) else ''}"
        with temporary_space(), path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        return path

    def open(self, name: str, path: Path) -> Rows:
        """Opens member `name`, kept at `path`. Raises InvalidManifest in terms of the archive."""
        if self._open_rows is None:
            raise InvalidManifest(f"the manifest lies beside the archive, not at {name}")
        try:
            self.rows = self._open_rows(path)
        except InvalidManifest as error:
            message = error.message.replace(str(path), f"{self._archive}: {name}")
            raise InvalidManifest(message, reason=error.reason) from None
        self._name = name
        with suppress(ValueError):  # a preset may have its images elsewhere than beside itself
            self._below = self.rows.folder.relative_to(path.parent).as_posix()
        return self.rows

    def use_folders(self, index: MemberIndex) -> None:
        """Takes the folders of the archive as products, where it has no manifest."""
        self._folder, self._name = "", None
        rows: Rows = FolderRows(index)
        self.rows = rows

    def notes(self) -> Sequence[str]:
        """What was decided."""
        chosen = [f"manifest: {self._name}"] if self._name else []
        return [*chosen, *(self.rows.notes if self.rows else ())]


def _inside(name: str) -> str:
    """A name that the user gave for something in the archive. Raises InvalidArgument."""
    try:
        return member_name(name)
    except BadArchive:
        raise InvalidArgument(
            f"{name!r} is no place in the archive: name it as the archive does, such as shop/images"
        ) from None
