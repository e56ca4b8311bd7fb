"""Sending the bytes of images: only those that the server lacks, many on one stream."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from shelflens.calls import images as calls
from shelflens.errors import Unavailable
from shelflens.images import Content, ImageProblem
from shelflens.v1.catalogs_pb2 import UploadContentsRequest

if TYPE_CHECKING:
    from shelflens.client import Client

R = TypeVar("R")
Problems = dict[str, ImageProblem]  # by hash
_FIND_AT_ONCE = 1_000
_REMEMBERED_HASHES = 200_000
# Five minutes in all: a server that is restarted at night does not end the upload of an archive.
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 60.0, 60.0)


def persist(work: Callable[[], R], stop: threading.Event) -> R:
    """`work()`, tried again while the server is away for some minutes."""
    for pause in _PAUSES_S:
        try:
            return work()
        except Unavailable:
            if stop.wait(pause):
                raise
    return work()


class Sent:
    """What a batch of contents became: `sizes` in bytes of those sent, `problems` of others."""

    __slots__ = ("problems", "sizes")

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.problems: Problems = {}


class ContentUploader:
    """Sends contents of one import; called from several threads at a time."""

    def __init__(
        self, client: "Client", catalog: str, stop: threading.Event, *, validate_only: bool = False
    ) -> None:
        """With `validate_only` nothing is ever sent."""
        self._client = client
        self._catalog = catalog
        self._stop = stop
        self._validate_only = validate_only
        self._stored: set[str] = set()
        self._lock = threading.Lock()

    def send(self, contents: Mapping[str, Content]) -> Sent:
        """Sends what the server lacks, by hash. Raises ShelflensError."""
        sent = Sent()
        if not self._validate_only:
            persist(lambda: self._send(contents, sent), self._stop)
        return sent

    def _send(self, contents: Mapping[str, Content], sent: Sent) -> None:
        missing = self._missing([each for each in contents if each not in self._stored])
        if missing and not self._stop.is_set():
            messages = self._messages({each: contents[each] for each in missing}, sent)
            answer = self._client.run(calls.upload_contents(messages))
            for refusal in answer.refusals:
                reason = ImageProblem(refusal.reason, refusal.message)
                sent.problems.setdefault(refusal.sha256, reason)
        with self._lock:
            if len(self._stored) > _REMEMBERED_HASHES:
                self._stored.clear()
            self._stored.update(each for each in contents if each not in sent.problems)

    def _missing(self, sha256s: Sequence[str]) -> list[str]:
        found: set[str] = set()
        for start in range(0, len(sha256s), _FIND_AT_ONCE):
            some = sha256s[start : start + _FIND_AT_ONCE]
            missing = self._client.run(calls.find_missing_contents(self._catalog, some))
            found.update(missing)
        return [each for each in sha256s if each in found]  # the order of the rows reads the disk

    def _messages(
        self, contents: Mapping[str, Content], sent: Sent
    ) -> Iterator[UploadContentsRequest]:
        parent = self._catalog  # in the first message only
        for sha256, content in contents.items():
            if self._stop.is_set():  # raising here would make gRPC log a stack trace
                return
            size = 0
            try:
                for piece, last in _marked(content.read() if content.read else iter(())):
                    size += len(piece)
                    yield UploadContentsRequest(parent=parent, sha256=sha256, data=piece, last=last)
                    parent = ""
            except ImageProblem as problem:
                sent.problems[sha256] = problem
                continue
            except OSError as error:  # gone since it was hashed
                text = error.strerror or str(error)
                sent.problems[sha256] = ImageProblem("IMAGE_UNREADABLE", text)
                continue
            sent.sizes[sha256] = size
        if parent:  # every file is gone
            yield UploadContentsRequest(parent=parent)


def _marked(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The same pieces, the last one marked."""
    held = next(pieces, b"")
    for piece in pieces:
        yield held, False
        held = piece
    yield held, True
