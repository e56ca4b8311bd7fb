"""Tasks of the proxies that begin and end together."""

import asyncio
from collections.abc import Coroutine


async def all_or_none(*work: Coroutine[None, None, None]) -> None:
    """Ends when all have ended, by the first error of any. None is left then: a socket that is
    closed while somebody waits for it would have the next one with its number never woken."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.wait(tasks)


async def end_all() -> None:
    """Lets cancelled tasks come to their end; some cancel others then."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
