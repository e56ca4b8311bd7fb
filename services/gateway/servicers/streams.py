"""Client streams: their opening message, and answering many at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from services.core.domain.errors import InvalidArgument, InvalidImage


class Addressed(Protocol):
    """Messages of a stream whose first one names the parent."""

    parent: str


M = TypeVar("M")
P = TypeVar("P", bound=Addressed)
Q = TypeVar("Q")
A = TypeVar("A")


async def begun(requests: AsyncIterator[M]) -> tuple[M, AsyncIterator[M]]:
    """The first message, and an iterator over all, the first included.

    Raises InvalidArgument (STREAM_EMPTY).
    """
    try:
        first = await anext(requests)
    except StopAsyncIteration:
        raise InvalidArgument(
            "the stream ended before its first message", reason="STREAM_EMPTY"
        ) from None

    async def messages() -> AsyncIterator[M]:
        yield first
        async for each in requests:
            yield each

    return first, messages()


async def opened(requests: AsyncIterator[P]) -> tuple[P, AsyncIterator[P]]:
    """As `begun`; the iterator raises InvalidArgument when a later message names another parent."""
    first, all_ = await begun(requests)

    async def messages() -> AsyncIterator[P]:
        async for each in all_:
            if each.parent and each.parent != first.parent:
                raise InvalidArgument.field("parent", "differs from that of the first message")
            yield each

    return first, messages()


async def joined(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """All bytes of one image. Raises InvalidImage (IMAGE_TOO_LARGE) for more than `limit`."""
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise InvalidImage(f"the image is larger than {limit} bytes", reason="IMAGE_TOO_LARGE")
        parts.append(chunk)
    return b"".join(parts)


async def answered(
    requests: AsyncIterator[Q], answer: Callable[[Q], Awaitable[A]], limit: int
) -> AsyncIterator[A]:
    """Answers to all requests as they come, at most `limit` at work; `answer` must not raise.

    Requests are only read while there is room, so a client that does not read its answers stops
    being read too.
    """
    ready: asyncio.Queue[A | None] = asyncio.Queue(1)
    slots = asyncio.Semaphore(limit)

    async def work(request: Q) -> None:
        try:
            await ready.put(await answer(request))
        finally:
            slots.release()

    async def feed() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                while await slots.acquire():
                    try:
                        request = await anext(requests)
                    except StopAsyncIteration:
                        break
                    group.create_task(work(request))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        await ready.put(None)

    feeder = asyncio.create_task(feed())
    feeder.add_done_callback(lambda task: _unblock(task, ready))
    try:
        while (each := await ready.get()) is not None:
            yield each
        await feeder
    finally:
        feeder.cancel()


def _unblock(feeder: "asyncio.Task[None]", ready: "asyncio.Queue[A | None]") -> None:
    """Ends the reader when the feeder failed before it could say so."""
    if not feeder.cancelled() and feeder.exception() is not None:
        if ready.full():
            ready.get_nowait()
        ready.put_nowait(None)
