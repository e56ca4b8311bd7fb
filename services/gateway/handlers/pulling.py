"""An upload that a thread reads from the event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from services.core.domain.errors import Cancelled, ShelflensError

WRITE_BYTES = 1 << 18  # small messages are joined: handing over costs as much as this many bytes


class Pull:
    """An async stream as a blocking iterator for another thread.

    The thread asks the loop for the next bytes, so that nothing queues up in between and errors
    of the stream end the write. More than `limit` bytes raise `too_long`.
    """

    def __init__(self, chunks: AsyncIterator[bytes], limit: int, too_long: ShelflensError) -> None:
        self._chunks = chunks
        self._limit = limit
        self._too_long = too_long
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self._size = 0

    def stop(self) -> None:
        """Ends the write with an error: what came so far is not all."""
        self._stopped = True

    def check(self) -> None:
        """Raises Cancelled once it was stopped."""
        if self._stopped:
            raise Cancelled("the client went away before the end of the upload")

    def blocking(self) -> Iterator[bytes]:
        while data := asyncio.run_coroutine_threadsafe(self._next(), self._loop).result():
            yield data
        self.check()

    async def _next(self) -> bytes:
        parts: list[bytes] = []
        length = 0
        while length < WRITE_BYTES and not self._stopped:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                break
            parts.append(chunk)
            length += len(chunk)
        self._size += length
        if self._size > self._limit:
            raise self._too_long
        return b"".join(parts)
