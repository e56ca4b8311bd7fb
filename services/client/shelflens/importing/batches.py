"""Cutting rows into batches that are hashed and uploaded together."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from shelflens.manifests.rows import SourceRow

MAX_ROWS, MAX_IMAGES, MAX_TEXT = 1_000, 256, 4_000_000


@dataclass(slots=True)
class Batch:
    """Rows that are uploaded together; `position` is how far into the manifest they reach."""

    rows: list[SourceRow] = field(default_factory=list)
    position: float = 0.0


@dataclass(frozen=True, slots=True)
class Finished:
    """What one batch gave: its manifest lines, and figures for the progress.

    `position` is None where nobody knows how much follows.
    """

    lines: bytes
    rows: int
    problems: int
    images: int
    uploaded_images: int
    uploaded_bytes: int
    position: float | None


def cut(rows: Iterable[SourceRow], position: Callable[[], float]) -> Iterator[Batch]:
    """Rows in batches bounded by rows, images and characters."""
    batch, images, text = Batch(), 0, 0
    for row in rows:
        batch.rows.append(row)
        images += len(row.images or ())
        text += row.text_length()
        if len(batch.rows) >= MAX_ROWS or images >= MAX_IMAGES or text >= MAX_TEXT:
            batch.position = position()
            yield batch
            batch, images, text = Batch(), 0, 0
    if batch.rows:
        batch.position = position()
        yield batch
