"""Reading an object over connections that break."""

import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import urllib3
from minio import Minio
from minio.error import MinioException

from services.core.adapters.minio_objects.faults import answer_of, broken, told
from services.core.domain.errors import Unavailable

PIECE = 1 << 20
_REOPENED = 4  # times, within one pass over an object
_PAUSE = 0.2  # seconds before the first, then twice as long
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(slots=True)
class _Body:
    """An answer whose next byte is byte `at` of the object, and that ends before byte `stop`.

    `stop` is None where the server sends in chunks; `total` is the object's length, if known.
    """

    response: urllib3.BaseHTTPResponse
    at: int
    stop: int | None
    total: int | None

    @property
    def etag(self) -> str:
        return self.response.headers.get("etag", "")


class ObjectReader:
    """The bytes [offset, end) of an object, or up to its end; the first answer comes at once.

    A connection that breaks off is opened again where it broke, a few times; bytes of an object
    that was written anew meanwhile are not mixed.
    Raises NotFound, Unavailable.
    """

    def __init__(
        self, client: Minio, bucket: str, key: str, offset: int = 0, end: int | None = None
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._at = offset
        self._end = end
        self._body = self._open()
        self._etag = self._body.etag if self._body else ""

    def pieces(self) -> Iterator[bytes]:
        """Pieces of at most 1 MiB."""
        reopened = 0
        while self._body is not None and (self._end is None or self._at < self._end):
            begin = self._at
            try:
                yield from self._read(self._body)
                if self._complete(self._body):
                    return
                if self._at == begin:
                    raise self._broken("it sends less than it says")
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if reopened >= _REOPENED:
                    raise self._broken(str(error)) from error
                time.sleep(_PAUSE * 2**reopened * random.uniform(0.5, 1.0))
                reopened += 1
            finally:
                self._body.response.close()
            self._body = self._open()
            if self._body is not None and self._body.etag != self._etag:
                self._body.response.close()
                raise self._broken("the object was written anew while it was read: repeat")

    def _open(self) -> _Body | None:
        """None where the object ends before the first byte that is asked for."""
        with told(self._bucket, self._key):
            length = 0 if self._end is None else self._end - self._at
            try:
                response = self._client.get_object(self._bucket, self._key, self._at, length)
            except MinioException as error:
                if answer_of(error).status == 416:
                    return None
                raise
        try:
            return self._body_of(response)
        except BaseException:
            response.close()
            raise

    def _body_of(self, response: urllib3.BaseHTTPResponse) -> _Body:
        # rclone sends a range with status 200; others ignore the wish and send everything.
        length = response.headers.get("content-length", "")
        size = int(length) if length.isdecimal() else None
        if size is None and response.headers.get("transfer-encoding", "").lower() != "chunked":
            raise self._broken("its answer has no length, so that its end cannot be told")
        if found := _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "")):
            first, last = int(found[1]), int(found[2])
            if first != self._at or size not in (None, last + 1 - first):
                raise self._broken(f"asked for byte {self._at}, it sends {found[0]}")
            return _Body(response, first, last + 1, None if found[3] == "*" else int(found[3]))
        return _Body(response, 0, size, size)

    def _read(self, body: _Body) -> Iterator[bytes]:
        ends = [each for each in (self._end, body.stop) if each is not None]
        end = min(ends) if ends else None
        while end is None or body.at < end:
            wanted = PIECE if end is None else min(PIECE, end - body.at)
            piece = body.response.read(wanted, decode_content=False)
            if not piece:
                if body.stop is not None:
                    raise urllib3.exceptions.IncompleteRead(body.at, body.stop - body.at)
                body.total = body.at  # the last chunk
                break
            skipped = max(0, min(len(piece), self._at - body.at))
            body.at += len(piece)
            if len(piece) > skipped:
                self._at = body.at
                yield piece[skipped:] if skipped else piece
        if body.at == body.stop:
            body.response.release_conn()

    def _complete(self, body: _Body) -> bool:
        return self._at == self._end or body.total is None or body.at >= body.total

    def _broken(self, problem: str) -> Unavailable:
        return broken(self._bucket, self._key, problem)
