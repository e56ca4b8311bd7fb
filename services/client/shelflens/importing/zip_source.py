"""A zip archive as the source of an import: the directory first, then members as rows name them."""

import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

from shelflens.archives.archive_images import ArchiveImages, load_from_zip, no_file
from shelflens.archives.index import Entry, MemberIndex
from shelflens.archives.kinds import is_nested
from shelflens.archives.names import is_picture_name
from shelflens.archives.refusal import ArchiveLimits, BadArchive, nested
from shelflens.archives.zip_directory import (
    ZipMember,
    find_directory,
    overlapping,
    read_directory,
)
from shelflens.archives.zip_members import read_member
from shelflens.errors import Cancelled
from shelflens.images import ImageProblem, ImageSource, check_size
from shelflens.importing.batches import Finished
from shelflens.importing.contents import ContentUploader
from shelflens.importing.packed_manifest import PackedManifest
from shelflens.manifests import Rows

LOCAL_HEADER = 30  # bytes before the name; the name itself may be longer than it is here
_OFFICE = "[Content_Types].xml"


class ZipSource:
    """Nothing is sent before the whole directory was checked; unused members are never read."""

    is_sent_ahead = False

    def __init__(
        self,
        path: Path,
        size: int,
        manifest: PackedManifest,
        limits: ArchiveLimits,
        stop: threading.Event,
    ) -> None:
        self._path = path
        self._size = size
        self._manifest = manifest
        self._limits = limits
        self._stop = stop
        self._links = self._others = 0
        self._space = tempfile.TemporaryDirectory(prefix="shelflens-archive-")
        self._index = MemberIndex(Path(self._space.name))

    def prepare(self) -> None:
        """Raises BadArchive for what is wrong with the archive, InvalidManifest, Cancelled."""
        try:
            with self._path.open("rb", buffering=1 << 20) as file:
                directory = find_directory(file, self._size)
                for member in read_directory(file, directory, self._limits):
                    self._add(member)
                self._check_places(directory.place)
        except OSError as error:
            raise BadArchive("ARCHIVE_UNREADABLE", error.strerror or str(error)) from None
        if self._manifest.is_inside:
            self._open_manifest()

    def send_ahead(self, contents: ContentUploader) -> Generator[Finished, None, None]:
        yield from ()

    @property
    def rows(self) -> Rows:
        rows = self._manifest.rows
        if rows is None:
            raise RuntimeError("prepare() comes first")
        return rows

    @property
    def images(self) -> ImageSource:
        load = partial(load_from_zip, self._path, self._index)
        return ArchiveImages(self._index, self._manifest.folder, load)

    def notes(self) -> Sequence[str]:
        return self._manifest.notes()

    def closing_notes(self) -> Sequence[str]:
        return (
            *self.rows.closing_notes(),
            *describe_rest(self._index.count_unused(), self._links, self._others),
        )

    def close(self) -> None:
        self._index.close()
        self._space.cleanup()

    def _add(self, member: ZipMember) -> None:
        if self._stop.is_set():
            raise Cancelled("the upload was stopped; no import was started")
        name = member.name
        if name == _OFFICE:
            raise BadArchive("ARCHIVE_UNSUPPORTED", "an Office file; export its sheet as CSV")
        if member.is_folder:
            return
        if not member.is_regular:
            self._links += 1
        elif is_nested(name):
            raise nested(name)
        elif self._manifest.is_inside:
            self._manifest.choice.offer(name)
        picture = is_picture_name(name)
        self._others += member.is_regular and not picture
        problem = _problem(member)
        entry = Entry(name, member.size, picture, problem=problem, stored=member.stored)
        if not self._index.add(entry):
            raise BadArchive(
                "ARCHIVE_DUPLICATE_MEMBER", f"{name[:200]!r} is in it twice; pack it anew"
            )

    def _check_places(self, end: int) -> None:
        """Raises BadArchive (ARCHIVE_OVERLAP)."""
        free = 0
        for entry in self._index.by_place():
            if entry.stored.place < free:
                raise overlapping(entry.name)
            free = entry.stored.place + LOCAL_HEADER + entry.stored.packed
        if free > end:
            raise BadArchive("ARCHIVE_OVERLAP", "the last member runs into the directory")

    def _open_manifest(self) -> None:
        name = self._manifest.choice.decide()
        entry = self._index.find(name) if name is not None else None
        if name is None or entry is None:
            self._manifest.use_folders(self._index)
            return
        pieces = read_member(self._path, entry.name, entry.size, entry.stored)
        try:
            kept = self._manifest.keep(name, pieces, Path(self._space.name))
        except ImageProblem as problem:
            raise BadArchive("ARCHIVE_DAMAGED", f"{name}: {problem.message}") from None
        except OSError as error:
            raise BadArchive("ARCHIVE_UNREADABLE", error.strerror or str(error)) from None
        self._manifest.open(name, kept)
        self._others -= 1


def describe_rest(unused: int, links: int, others: int) -> Iterator[str]:
    """Notes about members that the import did not use."""
    if unused:
        yield f"{unused} images of the archive are named by no row"
    if links:
        yield f"{links} links, devices or pipes of the archive were left out"
    if others:
        yield f"{others} other files of the archive were left out"


def _problem(member: ZipMember) -> ImageProblem | None:
    if not member.is_regular:
        return no_file()
    try:
        check_size(member.size)
    except ImageProblem as problem:
        return problem
    return None
