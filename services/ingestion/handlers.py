"""Use cases of the ingestion worker: cut a manifest, check a shard of rows."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from services.core.domain.errors import DataLoss, NotFound
from services.core.messages import IngestManifest, IngestShard
from services.core.outcomes import ManifestCut, ShardIngested
from services.core.ports import ObjectStore
from services.core.shard_files import (
    AcceptedRow,
    RejectedRow,
    write_accepted,
    write_embeddings,
    write_rejected,
)
from services.ingestion.fetching.fetcher import Fetcher
from services.ingestion.image_sources import ImageSources, StoredImages, UnseenImages
from services.ingestion.manifest_cutter import Bounds, ManifestCutter, lines_of
from services.ingestion.row_checks import check_line
from services.ingestion.row_embeddings import RowEmbeddings

MIB = 1 << 20
_PIECE = 8 * MIB


class Ingestor:
    """Turns manifests, which are JSON Lines in the object store, into files of checked rows.

    `shard_rows` and `shard_bytes` bound a shard. One cut ends after `cut_seconds` or `cut_shards`
    and leaves a cursor. Rows of more than `longest_line` bytes are rejected without being loaded.
    Without a `fetcher`, images at addresses are refused.
    """

    def __init__(
        self,
        objects: ObjectStore,
        shard_rows: int = 256,
        *,
        fetcher: Fetcher | None = None,
        shard_bytes: int = 16 * MIB,
        longest_line: int = 4 * MIB,
        cut_seconds: float = 300.0,
        cut_shards: int = 2_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._shard_rows = shard_rows
        self._fetcher = fetcher
        self._shard_bytes = shard_bytes
        self._longest_line = longest_line
        self._cut_seconds = cut_seconds
        self._cut_shards = cut_shards
        self._monotonic = monotonic

    def cut_manifest(self, message: IngestManifest) -> ManifestCut:
        """Finds the shards from byte `cursor` on. Raises NotFound for an unknown manifest.

        Rows are numbered from 1: the first shard's first row is `rows_before` + 1.
        """
        size = self._objects.size(message.manifest)
        if size is None:
            raise NotFound(
                f"manifest {message.manifest} does not exist", reason="MANIFEST_NOT_FOUND"
            )
        found = self._find_shards(message.manifest, message.cursor, size)
        shards = []
        rows = 0
        for each in found:
            shards.append((each.offset, each.length, message.rows_before + rows + 1, each.rows))
            rows += each.rows
        cursor = found[-1].offset + found[-1].length if found else message.cursor
        return ManifestCut(shards=tuple(shards), cursor=cursor, rows=rows, finished=cursor >= size)

    def ingest_shard(self, message: IngestShard) -> ShardIngested:
        """Checks every row of the shard; writes the two files, and that of the embeddings that the
        rows carry. Raises NotFound, DataLoss.

        A bad row never fails its neighbours: rows_read = accepted + rejected. With `validate_only`,
        images are taken as they are named: those without a hash have an empty one.
        """
        lines = list(lines_of(self._pieces(message), self._longest_line))
        if message.validate_only:
            return self._check(message, lines, self._unseen())
        by_reference = message.by_reference
        images = StoredImages(self._objects, self._fetcher, by_reference=by_reference)
        images.fetch_ahead(lines)
        outcome = self._check(message, lines, images)
        counts = images.counts
        return replace(outcome, images_fetched=counts.fetched, images_unchanged=counts.unchanged)

    def _check(
        self, message: IngestShard, lines: Sequence[bytes | None], images: ImageSources
    ) -> ShardIngested:
        accepted: list[AcceptedRow] = []
        rejected: list[RejectedRow] = []
        embeddings = None
        if message.embeddings:
            embeddings = RowEmbeddings(message.dimension, message.distance)
        for number, line in enumerate(lines, message.first_row):
            checked = check_line(line, number, images, embeddings)
            rejected += checked.rejected
            if checked.accepted is not None:
                accepted.append(checked.accepted)
        self._objects.put(message.accepted, write_accepted(accepted))
        if rejected:
            self._objects.put(message.rejected, write_rejected(rejected))
        embedded = embeddings.images if embeddings is not None else ()
        if embeddings is not None and embedded and not message.validate_only:
            self._objects.put(message.embeddings, write_embeddings(embeddings.file()))
        read = len(lines)
        return ShardIngested(
            rows_read=read,
            accepted=len(accepted),
            rejected=read - len(accepted),
            report_lines=len(rejected),
            embedded=embedded,
        )

    def _unseen(self) -> UnseenImages:
        return UnseenImages(self._fetcher.limits if self._fetcher is not None else None)

    def _find_shards(self, manifest: str, cursor: int, size: int) -> list[Bounds]:
        deadline = self._monotonic() + self._cut_seconds
        cutter = ManifestCutter(cursor, self._shard_rows, self._shard_bytes)
        found: list[Bounds] = []
        if cursor >= size:
            return found
        for piece in self._objects.stream(manifest, cursor):
            found += cutter.feed(piece)
            if len(found) >= self._cut_shards:
                return found[: self._cut_shards]
            if self._monotonic() >= deadline and (found or cutter.rest):
                return found or [rest for rest in (cutter.rest,) if rest]
        return found + [tail for tail in (cutter.tail,) if tail]

    def _pieces(self, message: IngestShard) -> Iterator[bytes]:
        position, end = message.offset, message.offset + message.length
        while position < end:
            piece = self._objects.get_range(
                message.manifest, position, min(8 * MIB, end - position)
            )
            if not piece:
                raise DataLoss(f"{message.manifest} ends before byte {end}", reason="MANIFEST_CUT")
            yield piece
            position += len(piece)
