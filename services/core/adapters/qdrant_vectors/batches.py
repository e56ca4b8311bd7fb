"""Cutting writes and reads so that no message comes near its limit."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

# Items in one call: 1.3 MB of vectors at 1280 dimensions.
BATCH = 256
# One call holds the server's attention for as long as it takes to decode; 64 MB are the limit.
BATCH_BYTES = 8 << 20
_PAYLOAD_BYTES = 4 << 10  # allowance for a payload that is read

T = TypeVar("T")


def batches(
    items: Sequence[T], size: Callable[[T], int], most_bytes: int = BATCH_BYTES
) -> Iterator[list[T]]:
    """Runs of `items` with at most BATCH items and `most_bytes` each; larger items go alone."""
    batch: list[T] = []
    total = 0
    for item in items:
        length = size(item)
        if batch and (len(batch) >= BATCH or total + length > most_bytes):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += length
    if batch:
        yield batch


def readable(dimension: int) -> int:
    """How many points with vectors to read in one call."""
    return max(1, min(BATCH, BATCH_BYTES // (4 * dimension + _PAYLOAD_BYTES)))
