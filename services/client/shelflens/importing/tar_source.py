"""A tar archive as the source of an import: read once, its images sent as they come by."""

import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

from shelflens.archives.archive_images import ArchiveImages, load_sent
from shelflens.archives.index import MemberIndex
from shelflens.archives.kinds import Kind
from shelflens.archives.refusal import ArchiveLimits
from shelflens.archives.streams import ArchiveStream, PackedFile
from shelflens.archives.tar_members import TarMember, TarMembers
from shelflens.calls.call import PIECE
from shelflens.images import Content, ImageSource
from shelflens.importing.batches import Finished
from shelflens.importing.contents import ContentUploader
from shelflens.importing.in_order import in_order
from shelflens.importing.packed_manifest import PackedManifest
from shelflens.importing.tar_pass import PictureBatch, TarPass
from shelflens.importing.zip_source import describe_rest
from shelflens.manifests import Rows

_THREADS = 3
_AHEAD = 4  # batches, of at most 8 MiB and one image


class TarSource:
    """Any size, also from a pipe: what was sent before an error is not sent again."""

    is_sent_ahead = True

    def __init__(
        self,
        kind: Kind,
        file: PackedFile,
        size: int,
        manifest: PackedManifest,
        limits: ArchiveLimits,
        stop: threading.Event,
    ) -> None:
        """`size` is that of the file in bytes, 0 where it is not known."""
        self._file = file
        self._manifest = manifest
        self._stop = stop
        self._space = tempfile.TemporaryDirectory(prefix="shelflens-archive-")
        space = Path(self._space.name)
        self._index = MemberIndex(space)
        stream = ArchiveStream(file, kind, limits)
        self._members = TarMembers(stream, limits)
        self._pass = TarPass(
            self._members, self._index, manifest, space, lambda: _share(file, size)
        )
        self._all: Iterator[TarMember] = iter(self._members)

    def prepare(self) -> None:
        """Reads as far as the first member: a file that is no tar archive is refused here."""
        first = next(self._all, None)
        self._all = chain([first] if first else [], self._all)
        if not self._manifest.is_inside and self._manifest.rows is not None:
            self._pass.want(self._manifest.rows)

    def send_ahead(self, contents: ContentUploader) -> Generator[Finished, None, None]:
        send = partial(self._send, contents)
        batches = self._pass.batches(self._all)
        finished = in_order(send, batches, threads=_THREADS, ahead=_AHEAD, stop=self._stop)
        with closing(finished):
            yield from finished
        self._pass.open_manifest()

    @property
    def rows(self) -> Rows:
        rows = self._manifest.rows
        if rows is None:
            raise RuntimeError("send_ahead() comes first")
        return rows

    @property
    def images(self) -> ImageSource:
        return ArchiveImages(self._index, self._manifest.folder, partial(load_sent, self._index))

    def notes(self) -> Sequence[str]:
        return self._manifest.notes()

    def closing_notes(self) -> Sequence[str]:
        unused = self._index.count_unused()
        rest = describe_rest(unused, self._pass.links, self._pass.others)
        return (*self.rows.closing_notes(), *rest)

    def close(self) -> None:
        self._file.close()
        self._index.close()
        self._space.cleanup()

    def _send(self, contents: ContentUploader, batch: PictureBatch) -> Finished:
        sent = contents.send(
            {sha256: Content(sha256, partial(_pieces, data)) for sha256, data in batch.data.items()}
        )
        for sha256, problem in sent.problems.items():
            self._index.refuse(sha256, problem)
        return Finished(
            lines=b"",
            rows=0,
            problems=0,
            images=batch.images,
            uploaded_images=len(sent.sizes),
            uploaded_bytes=sum(sent.sizes.values()),
            position=batch.position,
        )


def _share(file: PackedFile, size: int) -> float | None:
    return min(1.0, file.count / size) if size else None


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
