"""Writing a stream of unknown length, in parts of a multipart upload where it is long."""

from collections.abc import Iterable

from minio import Minio

from services.core.adapters.minio_objects.faults import broken, told

PART = 8 << 20  # an upload has at most 10,000 parts: 80 GiB


class _SourceFailedError(Exception):
    """The chunks broke off: the upload is to be aborted."""


class _Source:
    """Chunks as the file that the client reads from; keeps an error of theirs."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""
        self.length = 0
        self.error: BaseException | None = None

    def read(self, size: int) -> bytes:
        parts, wanted = [self._rest], size - len(self._rest)
        try:
            while wanted > 0 and (chunk := next(self._chunks, None)) is not None:
                parts.append(chunk)
                wanted -= len(chunk)
        except BaseException as error:
            self.error = error
            raise _SourceFailedError from error
        data = b"".join(parts)
        self._rest = data[size:]
        self.length += min(len(data), size)
        return data[:size]


def write_stream(client: Minio, bucket: str, key: str, chunks: Iterable[bytes]) -> int:
    """Stores the concatenation of `chunks`; returns its length. Memory: about three parts.

    An error of the chunks passes as it is. The key then holds what it held before, and so it does
    where the process is killed: the server removes what was uploaded when its rules say so.
    """
    source = _Source(chunks)
    try:
        with told(bucket, key):
            written = client.put_object(
                bucket,
                key,
                source,  # type: ignore[arg-type]  # only read() is called
                length=-1,
                part_size=PART,
                num_parallel_uploads=1,
            )
    except BaseException:
        if source.error is not None:
            raise source.error from None
        raise
    if not written.etag:  # the answer that ends a multipart upload may be an error with status 200
        raise broken(bucket, key, "the server did not put the parts together")
    return source.length
