"""One import from the client's side, up to the moment when the server takes over."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Unpack

from shelflens.calls import images as calls
from shelflens.calls.call import PIECE
from shelflens.errors import AlreadyExists, Cancelled, NotFound
from shelflens.images import ImageFolder
from shelflens.importing.batches import Finished, cut
from shelflens.importing.in_order import in_order
from shelflens.importing.options import ImportOptions, Rules
from shelflens.importing.progress import OnNote, OnProgress, Progress
from shelflens.importing.uploads import BatchUploader, persist
from shelflens.manifests import ColumnMap, open_manifest
from shelflens.names import catalog_name
from shelflens.v1.catalogs_pb2 import UploadManifestRequest
from shelflens.values import Operation

if TYPE_CHECKING:
    from shelflens.client import Client

_THREADS = 3  # two cores: one sends, one hashes, one waits for an answer
_AHEAD = 6


class Import:
    """Uploads a manifest and its images, then starts the import.

    `stop()`, from any thread, ends it early: what is uploaded stays and is not sent again.
    """

    def __init__(
        self,
        client: "Client",
        catalog: str,
        source: str | Path,
        *,
        on_progress: OnProgress,
        on_note: OnNote,
        **options: Unpack[ImportOptions],
    ) -> None:
        self._client = client
        self._catalog = catalog_name(catalog)
        self._source = Path(source)
        self._rules = Rules.of(options)
        columns = ColumnMap.parse(options.get("mapping", ()))
        self._manifest = open_manifest(
            self._source, columns, separator=options.get("separator", "|")
        )
        self._folder = ImageFolder(options.get("root") or self._manifest.folder)
        self._on_progress = on_progress
        self._on_note = on_note
        self._stop = threading.Event()
        self._so_far = Progress(phase="upload", fraction=None, rows=0, rejected=0)

    def stop(self) -> None:
        """Makes `upload_and_start` raise Cancelled soon, unless the import has started."""
        self._stop.set()

    def upload_and_start(self) -> Operation:
        """Raises InvalidManifest and whatever the calls raise. Bad rows raise nothing."""
        for note in self._manifest.notes:
            self._on_note(note)
        self._make_catalog()
        with tempfile.TemporaryFile(prefix="shelflens-manifest-") as lines:
            self._write_lines(lines)
            manifest = persist(lambda: self._upload_manifest(lines), self._stop)
        start = calls.import_manifest(
            self._catalog,
            manifest,
            display_name=self._source.resolve().name,
            rules=self._rules,
            row_count=self._so_far.rows,
        )
        operation = persist(lambda: self._client.run(start), self._stop)
        self._on_progress(Progress.of_operation(operation))
        return operation

    def _make_catalog(self) -> None:
        try:
            self._client.get_catalog(self._catalog)
        except NotFound:
            if self._rules.validate_only:
                raise NotFound(
                    f"{self._catalog} does not exist, and a dry run makes none: "
                    f"shelflens catalogs create {self._catalog.removeprefix('catalogs/')}",
                    reason="CATALOG_NOT_FOUND",
                ) from None
            try:
                made = self._client.create_catalog(self._catalog)
            except AlreadyExists:  # someone else was quicker
                return
            self._on_note(f"made {made.name}")

    def _write_lines(self, lines: IO[bytes]) -> None:
        batches = cut(self._manifest, self._manifest.position)
        upload = BatchUploader(self._client, self._catalog, self._folder, self._stop)
        finished = in_order(upload, batches, threads=_THREADS, ahead=_AHEAD, stop=self._stop)
        with closing(finished):
            for each in finished:
                if self._stop.is_set():
                    break
                lines.write(each.lines)
                self._count(each)
        if self._stop.is_set():
            raise Cancelled("the upload was stopped; no import was started")
        for note in self._manifest.closing_notes():
            self._on_note(note)

    def _count(self, batch: Finished) -> None:
        so_far = self._so_far
        self._so_far = Progress(
            phase="upload",
            fraction=batch.position,
            rows=so_far.rows + batch.rows,
            rejected=so_far.rejected + batch.problems,
            images=so_far.images + batch.images,
            uploaded_images=so_far.uploaded_images + batch.uploaded_images,
            uploaded_bytes=so_far.uploaded_bytes + batch.uploaded_bytes,
        )
        self._on_progress(self._so_far)

    def _upload_manifest(self, lines: IO[bytes]) -> str:
        lines.seek(0)

        def messages() -> Iterator[UploadManifestRequest]:
            first = lines.read(PIECE)
            yield UploadManifestRequest(parent=self._catalog, data=first)
            while piece := lines.read(PIECE):
                yield UploadManifestRequest(data=piece)

        return self._client.run(calls.upload_manifest(messages())).name
