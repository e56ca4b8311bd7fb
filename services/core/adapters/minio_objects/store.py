"""Objects in a bucket of an S3 server: the cluster's ObjectStore."""

import io
import os
import time
from collections.abc import Iterable, Iterator

from minio import Minio
from minio.error import MinioException

from services.core.adapters.minio_objects.address import S3Address, make_client
from services.core.adapters.minio_objects.faults import answer_of, broken, missing, no_bucket, told
from services.core.adapters.minio_objects.reading import ObjectReader
from services.core.adapters.minio_objects.writing import write_stream
from services.core.adapters.object_keys import (
    check_content,
    check_key,
    check_prefix,
    check_range,
    is_key,
)
from services.core.domain.errors import NotFound
from services.core.ports import ObjectStore

_SMALLEST_PART = 5 << 20  # below it, the client refuses a part size
_CONFIRMED_SECONDS = 60.0
_MADE_MEANWHILE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


class MinioObjects(ObjectStore):
    """Objects under their keys in one bucket, which should hold nothing else.

    Connects with the first request, anew in a forked process. Every request is bounded in time,
    and repeated after errors of the connection and of the server. Errors: Unavailable
    (OBJECTS_UNAVAILABLE), FailedPrecondition (OBJECTS_DENIED, BUCKET_NOT_FOUND),
    ResourceExhausted (STORAGE_FULL).
    """

    def __init__(self, address: S3Address) -> None:
        self._address = address
        self._bucket = address.bucket
        self._made: tuple[int, Minio] | None = None
        self._confirmed_until = float("-inf")

    def ensure_bucket(self) -> None:
        """Makes the bucket when it is missing; also proves that the keys are right.

        Raises FailedPrecondition where the keys are wrong or may not make it.
        """
        with told(self._bucket):
            if self._client.bucket_exists(self._bucket):
                return
            try:
                self._client.make_bucket(self._bucket)
            except MinioException as error:
                if answer_of(error).code not in _MADE_MEANWHILE:
                    raise

    def put(self, key: str, data: bytes) -> None:
        check_key(key)
        with told(self._bucket, key):
            self._client.put_object(
                self._bucket,
                key,
                io.BytesIO(data),
                len(data),
                part_size=max(len(data), _SMALLEST_PART),  # never in parts
            )

    def put_stream(self, key: str, chunks: Iterable[bytes]) -> int:
        return write_stream(self._client, self._bucket, check_key(key), chunks)

    def get(self, key: str) -> bytes:
        return check_content(key, b"".join(self.stream(key)))

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        check_key(key)
        check_range(key, offset, length)
        if length == 0:  # no range of HTTP is empty
            if self.size(key) is None:
                raise missing(key)
            return b""
        reader = ObjectReader(self._client, self._bucket, key, offset, offset + length)
        return b"".join(reader.pieces())

    def stream(self, key: str, offset: int = 0) -> Iterator[bytes]:
        check_range(check_key(key), offset, 0)
        return ObjectReader(self._client, self._bucket, key, offset).pieces()

    def size(self, key: str) -> int | None:
        check_key(key)
        try:
            with told(self._bucket, key):
                found = self._client.stat_object(self._bucket, key)
        except NotFound:
            self._confirm_bucket()
            return None
        # The client takes a missing length for 0.
        if found.size is None or "content-length" not in (found.metadata or {}):
            raise broken(self._bucket, key, "its answer has no length")
        return found.size

    def delete(self, key: str) -> None:
        check_key(key)
        try:
            with told(self._bucket, key):
                self._client.remove_object(self._bucket, key)
        except NotFound:
            pass

    def keys(self, prefix: str) -> Iterator[str]:
        return self._keys(check_prefix(prefix))

    @property
    def _client(self) -> Minio:
        made = self._made
        if made is None or made[0] != os.getpid():  # a parent's connections are not ours
            made = self._made = (os.getpid(), make_client(self._address))
        return made[1]

    def _confirm_bucket(self) -> None:
        """The answer that there is no such key is the same where there is no bucket."""
        now = time.monotonic()
        if now < self._confirmed_until:
            return
        with told(self._bucket):
            found = self._client.bucket_exists(self._bucket)
        if not found:
            raise no_bucket(self._bucket)
        self._confirmed_until = now + _CONFIRMED_SECONDS

    def _keys(self, prefix: str) -> Iterator[str]:
        listed = self._client.list_objects(self._bucket, prefix=prefix, recursive=True)
        while True:
            with told(self._bucket):
                entry = next(listed, None)
            if entry is None:
                return
            key = entry.object_name or ""
            if is_key(key):  # what people put there by hand is not ours
                yield key
