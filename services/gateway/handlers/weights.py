"""The use case of uploading the weights of a model."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from services.core.domain import keys, names
from services.core.domain.errors import InvalidArgument
from services.core.ports import ObjectStore
from services.gateway.handlers.object_file import ObjectFile
from services.gateway.handlers.pulling import Pull
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.weight_files import check_weights
from services.gateway.settings import GatewayLimits

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """What a client says about a file that it sends: `size` in bytes.

    Raises InvalidArgument (WEIGHTS_KIND_UNKNOWN, INVALID_DIGEST, OUT_OF_RANGE).
    """

    filename: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        suffix = PurePosixPath(self.filename).suffix.lower()
        if self.filename and suffix not in SUFFIXES:
            raise InvalidArgument.field(
                "filename",
                f"'{self.filename[:80]}' is none of {', '.join(SUFFIXES)}: save the weights as "
                "safetensors, or with torch.save(model.state_dict())",
                reason="WEIGHTS_KIND_UNKNOWN",
            )
        names.check_digest(self.sha256, "sha256")
        if self.size < 1:
            raise InvalidArgument.field(
                "size_bytes", f"{self.size} is no length of a file", reason="OUT_OF_RANGE"
            )

    @property
    def label(self) -> str:
        return f"weights '{self.filename[:80]}'" if self.filename else "the weights"

    def verified(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """`chunks`, with an error at the end unless they are the file."""
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        if size != self.size:
            raise InvalidArgument.field(
                "size_bytes",
                f"{self.label} ended after {size} of {self.size} bytes: send them again",
                reason="UPLOAD_INCOMPLETE",
            )
        if (found := digest.hexdigest()) != self.sha256:
            raise InvalidArgument.field(
                "sha256",
                f"{self.label} have SHA-256 {found}, not {self.sha256}",
                reason="DIGEST_MISMATCH",
            )


class Weights:
    """Stores files of weights until models are made of them."""

    def __init__(self, objects: ObjectStore, threads: Threads, limits: GatewayLimits) -> None:
        self._objects = objects
        self._threads = threads
        self._limits = limits

    async def upload(self, file: WeightsFile, chunks: AsyncIterator[bytes]) -> str:
        """Stores the concatenation of `chunks` in bounded memory; returns the id of the upload.

        Whatever is refused is not stored. Raises InvalidArgument (WEIGHTS_TOO_LARGE,
        UPLOAD_INCOMPLETE, DIGEST_MISMATCH, UNSAFE_WEIGHTS), Unavailable.
        """
        if file.size > self._limits.weights_bytes:
            raise InvalidArgument.field(
                "size_bytes",
                f"{file.label} have {file.size} bytes, more than {self._limits.weights_bytes}",
                reason="WEIGHTS_TOO_LARGE",
            )
        too_long = InvalidArgument.field(
            "size_bytes",
            f"{file.label} are longer than {file.size} bytes",
            reason="WEIGHTS_TOO_LARGE",
        )
        upload = names.new_id()
        pull = Pull(chunks, file.size, too_long)
        try:
            await self._threads.call(self._store, upload, file, pull)
        except asyncio.CancelledError:
            pull.stop()
            raise
        return upload

    def _store(self, upload: str, file: WeightsFile, pull: Pull) -> None:
        key = keys.uploaded_weights_key(upload)
        self._objects.put_stream(key, file.verified(pull.blocking()))
        try:
            check_weights(ObjectFile(self._objects, key, file.size), file.label)
            pull.check()
        except BaseException:
            self._objects.delete(key)
            raise
