"""What happens to one batch: its images are found, hashed and uploaded, its lines written.

Several batches are under way at a time, each in a thread, so that hashing overlaps with sending.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from shelflens.calls import images as calls
from shelflens.calls.call import PIECE
from shelflens.errors import Unavailable
from shelflens.images import HashCache, ImageFolder, ImageProblem, LocalImage
from shelflens.importing.batches import Batch, Finished
from shelflens.manifests import wire
from shelflens.v1.catalogs_pb2 import UploadContentsRequest

if TYPE_CHECKING:
    from shelflens.client import Client

R = TypeVar("R")
Problems = dict[str, ImageProblem]  # by hash
_FIND_AT_ONCE = 1_000
_REMEMBERED_HASHES = 200_000
_PAUSES_S = (1.0, 2.0, 4.0, 8.0)


def persist(work: Callable[[], R], stop: threading.Event) -> R:
    """`work()`, tried again while the server is away for some seconds."""
    for pause in _PAUSES_S:
        try:
            return work()
        except Unavailable:
            if stop.wait(pause):
                raise
    return work()


class BatchUploader:
    """Turns batches into manifest lines; called from several threads at a time."""

    def __init__(
        self, client: "Client", catalog: str, folder: ImageFolder, stop: threading.Event
    ) -> None:
        self._client = client
        self._catalog = catalog
        self._folder = folder
        self._stop = stop
        self._hashes = HashCache()
        self._stored: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, batch: Batch) -> Finished:
        """Uploads what the server lacks of a batch. Raises ShelflensError."""
        files: dict[str, LocalImage] = {}
        entries = {
            reference: self._entry(reference, files)
            for row in batch.rows
            for reference in row.images or ()
        }
        sent: dict[str, int] = {}
        problems: Problems = {}
        persist(lambda: self._upload(files, sent, problems), self._stop)
        for entry in entries.values():
            if problem := problems.get(entry.get("sha256", "")):
                del entry["sha256"]
                entry["error"], entry["message"] = problem.reason, problem.message
        lines = [
            wire.encode(row, [entries[each] for each in row.images or ()]) for row in batch.rows
        ]
        return Finished(
            lines=b"".join(lines),
            rows=len(batch.rows),
            problems=sum("error" in entry for entry in entries.values())
            + sum(row.problem is not None for row in batch.rows),
            images=len(entries),
            uploaded_images=len(sent),
            uploaded_bytes=sum(sent.values()),
            position=batch.position,
        )

    def _entry(self, reference: str, files: dict[str, LocalImage]) -> wire.ImageEntry:
        if self._stop.is_set():
            return {"source": reference}
        try:
            image = self._folder.find(reference)
            sha256 = self._hashes.sha256(image)
        except ImageProblem as problem:
            return {"source": reference, "error": problem.reason, "message": problem.message}
        files[sha256] = image
        return {"source": reference, "sha256": sha256}

    def _upload(
        self, files: dict[str, LocalImage], sent: dict[str, int], problems: Problems
    ) -> None:
        """Sends the files that are missing, noting sizes in `sent` and refusals in `problems`."""
        missing = self._missing([each for each in files if each not in self._stored])
        if missing and not self._stop.is_set():
            messages = self._messages({each: files[each] for each in missing}, sent, problems)
            answer = self._client.run(calls.upload_contents(messages))
            for refusal in answer.refusals:
                reason = ImageProblem(refusal.reason, refusal.message)
                problems.setdefault(refusal.sha256, reason)
        with self._lock:
            if len(self._stored) > _REMEMBERED_HASHES:
                self._stored.clear()
            self._stored.update(each for each in files if each not in problems)

    def _missing(self, sha256s: Sequence[str]) -> list[str]:
        found: set[str] = set()
        for start in range(0, len(sha256s), _FIND_AT_ONCE):
            some = sha256s[start : start + _FIND_AT_ONCE]
            missing = self._client.run(calls.find_missing_contents(self._catalog, some))
            found.update(missing)
        return [each for each in sha256s if each in found]  # the order of the rows reads the disk

    def _messages(
        self, files: dict[str, LocalImage], sent: dict[str, int], problems: Problems
    ) -> Iterator[UploadContentsRequest]:
        parent = self._catalog  # in the first message only
        for sha256, image in files.items():
            if self._stop.is_set():  # raising here would make gRPC log a stack trace
                return
            size = 0
            try:
                for piece, last in _pieces(image):
                    size += len(piece)
                    yield UploadContentsRequest(parent=parent, sha256=sha256, data=piece, last=last)
                    parent = ""
            except OSError as error:  # gone since it was hashed
                text = error.strerror or str(error)
                problems[sha256] = ImageProblem("IMAGE_UNREADABLE", text)
                continue
            sent[sha256] = size
        if parent:  # every file is gone
            yield UploadContentsRequest(parent=parent)


def _pieces(image: LocalImage) -> Iterator[tuple[bytes, bool]]:
    """Pieces of at most 1 MiB, the last one marked."""
    with open(image.path, "rb", buffering=0) as file:
        piece = file.read(min(PIECE, image.size + 1))
        while True:
            if len(piece) < PIECE:
                yield piece, True
                return
            following = file.read(PIECE)
            yield piece, not following
            if not following:
                return
            piece = following
