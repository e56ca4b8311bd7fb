"""One import from the client's side, up to the moment when the server takes over."""

import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Unpack

from shelflens.calls import images as calls
from shelflens.calls.call import PIECE
from shelflens.errors import AlreadyExists, Cancelled, InvalidArgument, NotFound
from shelflens.importing.batches import Finished, cut
from shelflens.importing.contents import ContentUploader, persist
from shelflens.importing.embeddings import BroughtEmbeddings, other_columns
from shelflens.importing.in_order import in_order
from shelflens.importing.options import ImportOptions, Rules
from shelflens.importing.progress import OnNote, OnProgress, Progress
from shelflens.importing.sources import open_source
from shelflens.importing.uploads import BatchUploader
from shelflens.manifests import ColumnMap, Rows, open_manifest
from shelflens.names import catalog_name
from shelflens.v1.catalogs_pb2 import UploadManifestRequest
from shelflens.values import Catalog, Operation

if TYPE_CHECKING:
    from shelflens.client import Client

_THREADS = 3  # two cores: one sends, one hashes, one waits for an answer
_AHEAD = 6
_AHEAD_SHARE = 0.95  # of the progress, where images are sent before the rows


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
        whole = Path(source).resolve()
        self.name = whole.name if whole.exists() else Path(source).name  # /dev/stdin leads nowhere
        self._rules = Rules.of(options)
        self._on_progress = on_progress
        self._on_note = on_note
        self._stop = threading.Event()
        self._embeddings = BroughtEmbeddings.of(options)
        column = self._embeddings is not None and self._embeddings.file is None
        columns = ColumnMap.parse(other_columns(options.get("mapping", ())))

        def open_rows(path: Path) -> Rows:
            return open_manifest(
                path,
                columns,
                separator=options.get("separator", "|"),
                preset=options.get("preset"),
                split=options.get("split"),
                has_embeddings=column,
                embedding=self._embeddings.column if self._embeddings else None,
            )

        self._source = open_source(
            Path(source),
            open_rows,
            self._stop,
            root=options.get("root") or None,
            member=options.get("member"),
            validate_only=self._rules.validate_only,
        )
        self._so_far = Progress(phase="upload", fraction=None, rows=0, rejected=0)

    def stop(self) -> None:
        """Makes `upload_and_start` raise Cancelled soon, unless the import has started."""
        self._stop.set()

    def upload_and_start(self) -> Operation:
        """Raises InvalidManifest and whatever the calls raise. Bad rows raise nothing."""
        start = calls.import_manifest(
            self._catalog,
            self.upload(),
            display_name=self.name,
            rules=self._rules,
            # A source that breaks off has an unknown number of rows: nothing is pruned by it.
            row_count=self._so_far.rows if self._source.rows.complete() else 0,
        )
        operation = persist(lambda: self._client.run(start), self._stop)
        self._on_progress(Progress.of_operation(operation))
        return operation

    def upload(self, *, make_catalog: bool = True) -> str:
        """Sends the images and the rows, and starts nothing; returns the name of the manifest.

        Raises as `upload_and_start`, and NotFound without `make_catalog`.
        """
        with ExitStack() as opened:
            opened.callback(self._source.close)
            if self._embeddings is not None:
                opened.callback(self._embeddings.close)
            self._source.prepare()
            if not self._source.is_sent_ahead:
                self._say(self._source.notes())
            self._check_embeddings()
            if make_catalog:
                self._make_catalog()
            else:
                self._client.get_catalog(self._catalog)
            with tempfile.TemporaryFile(prefix="shelflens-manifest-") as lines:
                self._send_ahead()
                self._write_lines(lines)
                return persist(lambda: self._upload_manifest(lines), self._stop)

    def _say(self, notes: Iterable[str]) -> None:
        for note in notes:
            self._on_note(note)

    def _make_catalog(self) -> None:
        try:
            found = self._client.get_catalog(self._catalog)
            if self._embeddings is not None:
                self._embeddings.check_catalog(found)
        except NotFound:
            if self._rules.validate_only:
                raise NotFound(
                    f"{self._catalog} does not exist, and a dry run makes none: "
                    f"shelflens catalogs create {self._catalog.removeprefix('catalogs/')}",
                    reason="CATALOG_NOT_FOUND",
                ) from None
            try:
                made = self._create_catalog()
            except AlreadyExists:  # someone else was quicker
                return
            self._on_note(f"made {made.name}")

    def _create_catalog(self) -> Catalog:
        brought = self._embeddings
        if brought is None:
            return self._client.create_catalog(self._catalog)
        return self._client.create_catalog(
            self._catalog,
            model=brought.model,
            embedding_dimension=brought.dimension,
            embedding_distance=brought.distance,
        )

    def _check_embeddings(self) -> None:
        if self._embeddings is None:
            return
        if self._source.is_sent_ahead:
            raise InvalidArgument(
                "embeddings cannot be imported with a tar archive: unpack it, or make it a zip",
                reason="INVALID_OPTION",
            )
        self._embeddings.check(self._source.rows)

    def _send_ahead(self) -> None:
        if not self._source.is_sent_ahead:
            return
        contents = ContentUploader(
            self._client, self._catalog, self._stop, validate_only=self._rules.validate_only
        )
        with closing(self._source.send_ahead(contents)) as finished:
            for each in finished:
                self._check_stop()
                share = None if each.position is None else each.position * _AHEAD_SHARE
                self._count(each, share, each.images)
        self._check_stop()
        self._say(self._source.notes())

    def _write_lines(self, lines: IO[bytes]) -> None:
        rows = self._source.rows
        upload = BatchUploader(
            self._client,
            self._catalog,
            self._source.images,
            self._stop,
            validate_only=self._rules.validate_only,
        )
        attached = self._embeddings.attached(rows) if self._embeddings else rows
        batches = cut(attached, rows.position)
        finished = in_order(upload, batches, threads=_THREADS, ahead=_AHEAD, stop=self._stop)
        before = _AHEAD_SHARE if self._source.is_sent_ahead else 0.0
        with closing(finished):
            for each in finished:
                if self._stop.is_set():
                    break
                lines.write(each.lines)
                images = 0 if self._source.is_sent_ahead else each.images
                self._count(each, before + (1 - before) * (each.position or 0.0), images)
        self._check_stop()
        self._say(self._source.closing_notes())

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Cancelled("the upload was stopped; no import was started")

    def _count(self, batch: Finished, fraction: float | None, images: int) -> None:
        so_far = self._so_far
        self._so_far = Progress(
            phase="upload",
            fraction=fraction,
            rows=so_far.rows + batch.rows,
            rejected=so_far.rejected + batch.problems,
            images=so_far.images + images,
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
