"""An import for callers in an event loop."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from shelflens.importing.options import ImportOptions
from shelflens.importing.progress import OnNote, OnProgress
from shelflens.importing.run import Import

if TYPE_CHECKING:
    from shelflens.client import Client

R = TypeVar("R")


async def in_thread(
    client: "Client",
    work: Callable[[Import], R],
    catalog: str,
    source: str | Path,
    on_progress: OnProgress,
    on_note: OnNote,
    options: ImportOptions,
) -> R:
    """`work` on an Import in a thread, which is stopped when the caller is cancelled.

    `on_progress` and `on_note` are called in the event loop.
    """
    loop = asyncio.get_running_loop()
    task = await asyncio.to_thread(
        Import,
        client,
        catalog,
        source,
        on_progress=lambda each: loop.call_soon_threadsafe(on_progress, each),
        on_note=lambda each: loop.call_soon_threadsafe(on_note, each),
        **options,
    )
    try:
        return await asyncio.to_thread(work, task)
    except asyncio.CancelledError:
        task.stop()
        raise
