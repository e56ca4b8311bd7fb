"""Files of weights: checked and hashed on this machine, then sent in pieces."""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from shelflens.calls.call import PIECE, Call
from shelflens.errors import Cancelled, InvalidArgument, NotFound, ShelflensError
from shelflens.v1 import models_pb2
from shelflens.values import WeightsProgress

if TYPE_CHECKING:
    from shelflens.client import Client

OnWeights = Callable[[WeightsProgress], object]
KINDS = (".safetensors", ".pth", ".pt", ".bin")
_START_S, _SLOWEST = 600.0, 500_000  # seconds and bytes a second, for the deadline of an upload


class WeightsUpload:
    """Sends one file. `on_progress` may be called from another thread.

    Raises NotFound (FILE_NOT_FOUND) and InvalidArgument (WEIGHTS_KIND_UNKNOWN, WEIGHTS_EMPTY,
    FILE_UNREADABLE).
    """

    def __init__(self, path: str | Path, *, sha256: str = "", on_progress: OnWeights) -> None:
        """With `sha256` a file that has another one is not sent (WEIGHTS_DIGEST_DIFFERS)."""
        self._path = Path(path)
        self._wanted = sha256
        self._on_progress = on_progress
        self._size = check_weights(self._path)
        self._stopped = threading.Event()
        self._failure: ShelflensError | None = None

    def stop(self) -> None:
        """Ends it soon, in whatever thread it runs."""
        self._stopped.set()

    def send(self, client: "Client") -> str:
        """`uploads/...`, its name on the server. Raises ShelflensError."""
        with _readable(self._path), open(self._path, "rb", buffering=0) as file:
            digest = hashlib.sha256()
            for piece in self._pieces(file, "hash"):
                digest.update(piece)
            found = digest.hexdigest()
            if self._wanted not in ("", found):
                raise InvalidArgument(
                    f"{self._path} has the SHA-256 {found}, not {self._wanted}",
                    reason="WEIGHTS_DIGEST_DIFFERS",
                )
            file.seek(0)
            timeout = _START_S + self._size / _SLOWEST
            messages = self._messages(file, found)
            try:
                return client.run(Call("models", "UploadWeights", messages, _name, timeout))
            except ShelflensError:
                if self._failure is not None:
                    raise self._failure from None
                raise

    def _messages(self, file: IO[bytes], sha256: str) -> Iterator[models_pb2.UploadWeightsRequest]:
        # gRPC says nothing of an error in here but that there was one: it is kept for `send`.
        try:
            suffix = self._path.suffix.lower()
            yield models_pb2.UploadWeightsRequest(
                filename=self._path.stem + suffix, sha256=sha256, size_bytes=self._size
            )
            with _readable(self._path):
                for piece in self._pieces(file, "upload"):
                    yield models_pb2.UploadWeightsRequest(data=piece)
        except ShelflensError as error:
            self._failure = error
            raise

    def _pieces(self, file: IO[bytes], phase: Literal["hash", "upload"]) -> Iterator[bytes]:
        done = 0
        while piece := file.read(PIECE):
            if self._stopped.is_set():
                raise Cancelled("the upload was stopped")
            done += len(piece)
            if done > self._size:
                raise InvalidArgument(f"{self._path} grows", reason="FILE_UNREADABLE")
            yield piece
            self._on_progress(WeightsProgress(phase, done, self._size))


def check_weights(path: Path) -> int:
    """Its length in bytes. Raises as WeightsUpload."""
    if path.suffix.lower() not in KINDS:
        raise InvalidArgument(
            f"{path} is no file of weights: its name ends with none of {', '.join(KINDS)}",
            reason="WEIGHTS_KIND_UNKNOWN",
        )
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist", reason="FILE_NOT_FOUND") from None
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"{path}: {error}", reason="FILE_UNREADABLE") from None
    if not stat.S_ISREG(found.st_mode):
        raise InvalidArgument(f"{path} is not a regular file", reason="FILE_UNREADABLE")
    if found.st_size == 0:
        raise InvalidArgument(f"{path} is empty", reason="WEIGHTS_EMPTY")
    return found.st_size


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Errors of the file system, as errors of the client."""
    try:
        yield
    except OSError as error:
        problem = error.strerror or str(error)
        raise InvalidArgument(f"{path}: {problem}", reason="FILE_UNREADABLE") from None


def _name(answer: models_pb2.UploadWeightsResponse) -> str:
    return answer.name
