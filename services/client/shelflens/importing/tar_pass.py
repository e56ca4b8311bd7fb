"""The pass over a tar archive: every member is hashed or refused, once, in bounded memory."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shelflens.archives.archive_images import no_file
from shelflens.archives.index import Entry, MemberIndex
from shelflens.archives.kinds import HEAD, is_nested
from shelflens.archives.manifest_choice import ambiguous
from shelflens.archives.names import is_hidden, is_picture_name, resolve
from shelflens.archives.refusal import nested
from shelflens.archives.tar_members import TarMember, TarMembers
from shelflens.errors import InvalidManifest
from shelflens.images import ImageProblem, check_format, check_size
from shelflens.importing.packed_manifest import PackedManifest
from shelflens.importing.references import remote_entry
from shelflens.manifests import Rows

_BATCH_IMAGES, _BATCH_BYTES = 256, 8 << 20
_PIECE = 1 << 20


@dataclass(slots=True)
class PictureBatch:
    """Images to send, by hash. `position` is how far into the file they reach, if known."""

    data: dict[str, bytes] = field(default_factory=dict)
    images: int = 0
    size: int = 0
    position: float | None = None


class TarPass:
    """Fills the index, keeps the manifest, and gives the images in batches.

    Where the manifest comes before the images, only those that it names are given.
    """

    def __init__(
        self,
        members: TarMembers,
        index: MemberIndex,
        manifest: PackedManifest,
        space: Path,
        position: Callable[[], float | None],
    ) -> None:
        self.links = self.others = 0
        self._members = members
        self._index = index
        self._manifest = manifest
        self._space = space
        self._position = position
        self._kept: tuple[str, Path] | None = None
        self._choosing = False  # only images that a row names are wanted
        self._met_images = self._left_out = False

    def want(self, rows: Rows) -> None:
        """Restricts the images to those that `rows` name. Raises InvalidManifest."""
        folder = self._manifest.folder
        for row in rows:
            self._index.want(_names(folder, row.images or ()))
        self._choosing = True

    def batches(self, members: Iterable[TarMember]) -> Iterator[PictureBatch]:
        """Raises BadArchive and Cancelled."""
        batch = PictureBatch()
        for member in members:
            if member.type == "folder":
                continue
            if member.type != "file":
                self.links += 1
                problem = no_file()
                self._add(Entry(member.name, 0, is_picture_name(member.name), problem=problem))
                continue
            if not self._take(member, batch):
                continue
            if batch.images >= _BATCH_IMAGES or batch.size >= _BATCH_BYTES:
                batch.position = self._position()
                yield batch
                batch = PictureBatch()
        batch.position = self._position()
        yield batch

    def open_manifest(self) -> None:
        """After the last member. Raises BadArchive and InvalidManifest."""
        if not self._manifest.is_inside:
            return
        name = self._manifest.choice.decide()
        if name is None or self._kept is None:
            self._manifest.use_folders(self._index)
        else:
            self._manifest.open(*self._kept)

    def _take(self, member: TarMember, batch: PictureBatch) -> bool:
        """Whether the batch has grown by an image."""
        head = self._members.read(HEAD)
        if is_nested(member.name, head):
            raise nested(member.name)
        if self._manifest.is_inside and self._manifest.choice.offer(member.name):
            self._keep(member.name, head)
            return False
        entry = _judge(member, head)
        if not entry.problem:
            self._met_images = True
            if not self._choosing or self._index.is_wanted(member.name):
                return self._hash(entry, head, batch)
            self._left_out = True
        self.others += not entry.picture
        self._add(entry)
        return False

    def _hash(self, entry: Entry, head: bytes, batch: PictureBatch) -> bool:
        data = head + self._members.read(entry.size)
        sha256 = hashlib.sha256(data).hexdigest()
        self._add(Entry(entry.name, entry.size, entry.picture, sha256))
        if sha256 not in batch.data:
            batch.data[sha256] = data
            batch.size += len(data)
        batch.images += 1
        return True

    def _add(self, entry: Entry) -> None:
        if self._index.add(entry):
            return
        earlier = self._index.find(entry.name)
        if entry.sha256 and earlier and earlier.sha256 == entry.sha256:
            return
        problem = ImageProblem("IMAGE_AMBIGUOUS", "it is in the archive twice, not the same")
        self._index.settle(entry.name, "", problem)

    def _keep(self, name: str, head: bytes) -> None:
        if self._left_out and self._kept:  # by the names of a manifest that is now beaten
            raise ambiguous([name, self._kept[0]])
        self._choosing = False
        path = self._manifest.keep(name, self._rest(head), self._space)
        self._kept = name, path
        if self._met_images:
            return
        try:
            rows = self._manifest.open(name, path)
        except InvalidManifest:
            if self._manifest.choice.is_certain(name):
                raise
            return  # perhaps a better one follows; if not, it fails at the end
        self.want(rows)

    def _rest(self, head: bytes) -> Iterator[bytes]:
        yield head
        while piece := self._members.read(_PIECE):
            yield piece


def _judge(member: TarMember, head: bytes) -> Entry:
    """What a file is, by its size and first bytes."""
    problem = None
    picture = is_picture_name(member.name)
    try:
        check_size(member.size)
        check_format(head)
        picture = not is_hidden(member.name)
    except ImageProblem as found:
        problem = found
    return Entry(member.name, member.size, picture, problem=problem)


def _names(folder: str, references: Iterable[str]) -> Iterator[str]:
    """Members that the references of one row lead to."""
    for reference in references:
        try:
            if not remote_entry(reference):
                yield resolve(folder, reference)
        except ImageProblem:
            continue  # said on its row
