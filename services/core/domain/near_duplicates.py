"""Whether two pictures are copies of one photo: re-compressed or resized, and nothing else.

Two looks at the pixels that a model reads; the second only where the first finds two alike:

- `picture_hash`, 64 bits: which of the 8 x 8 lowest frequencies of the brightness are above their
  median. Short enough to be kept with every embedding, but blind to colour and to small print.
- `thumbnail`: mean colours of 16 x 16 squares. They tell products apart that come in several
  colours, and views of a bottle that is turned by a few degrees.

Largest differences measured (bits of the hash; levels of 0 to 255 at any place of the thumbnail):

| of 725 photos of clothes and 480 rendered packshots | bits | levels |
|---|---|---|
| copies as JPEG (quality 90 to 30) and WebP (50) | 6 | 9 |
| copies at a half or a third of the size | 4 | 15 |
| copies 3% brighter | 6 | 8 |
| copies at 200 pixels without any filter | 6 | 31 |
| cut by 0.5% on every side | 8 | 24 |
| cut by 1% on every side | 10 | 53 |

Of the pictures of one product that are like another (8 bits at most), the closest are 19 levels
apart (a bottle turned by a few degrees) and 20 (shorts whose hems differ in colour). So most copies
that were cut are not folded: they differ more than products do whose colours or words differ.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

THUMBNAIL = 16
MOST_BITS = 8
MOST_LEVELS = 17

_GRID = 2 * THUMBNAIL
_KEPT = 8
# Rows of the DCT-II: the lowest frequencies over _GRID points.
_COSINES = np.cos(np.pi / _GRID * np.outer(np.arange(_KEPT), np.arange(_GRID) + 0.5))
_BRIGHTNESS = np.array([0.299, 0.587, 0.114])
# A blank picture has no frequencies: rounding errors are no picture.
_LEAST = 1e-3


def fingerprint(pixels: Pixels) -> tuple[str, Pixels]:
    """(hash of 16 hex digits, thumbnail uint8 [16, 16, 3]) of pixels uint8 [size, size, 3]."""
    sums, counts = _pooled(pixels)
    means = sums / counts
    squares = (THUMBNAIL, 2, THUMBNAIL, 2)
    thumbnail = sums.reshape(*squares, 3).sum((1, 3)) / counts.reshape(*squares, 1).sum((1, 3))
    return _hash(means @ _BRIGHTNESS), np.rint(thumbnail).astype(np.uint8)


def any_alike(hashes: Sequence[str]) -> bool:
    """True when two of them may belong to copies of one photo: their thumbnails decide."""
    known = _numbers([each for each in hashes if each])
    return any(_alike(known[at], known[at + 1 :]).any() for at in range(len(known)))


def copies(hashes: Sequence[str], thumbnails: Sequence[Pixels | None]) -> list[int]:
    """Positions of the pictures that are a copy of an earlier one which is no copy itself.

    `hashes` and `thumbnails` are parallel. One without hash or thumbnail is nobody's copy.
    """
    numbers = _numbers([each or "0" for each in hashes])
    kept: list[int] = []
    found = []
    for at, picture in enumerate(thumbnails):
        if picture is None or not hashes[at]:
            continue
        like = np.flatnonzero(_alike(numbers[at], numbers[kept]))
        if any(_same(picture, thumbnails[kept[each]]) for each in like):
            found.append(at)
        else:
            kept.append(at)
    return found


def _numbers(hashes: Sequence[str]) -> npt.NDArray[np.uint64]:
    return np.array([int(each, 16) for each in hashes], np.uint64)


def _alike(one: np.uint64, others: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    bits: npt.NDArray[np.uint8] = np.bitwise_count(one ^ others)
    return bits <= MOST_BITS


def _same(first: Pixels, second: Pixels | None) -> bool:
    return second is not None and int(np.abs(first.astype(np.int16) - second).max()) <= MOST_LEVELS


def _pooled(pixels: Pixels) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sums of the pixels in _GRID x _GRID rectangles, and how many pixels are in each."""
    side, rest = divmod(pixels.shape[0], _GRID)
    if side and not rest:
        return _pooled_evenly(pixels, side), np.full((_GRID, _GRID, 1), float(side * side))
    edges = np.arange(_GRID + 1) * pixels.shape[0] // _GRID
    rows = np.add.reduceat(pixels, edges[:-1], axis=0, dtype=np.uint32)
    sums = np.add.reduceat(rows, edges[:-1], axis=1)
    sides = np.maximum(np.diff(edges), 1)  # reduceat takes one pixel where there is none
    return sums.astype(np.float64), np.outer(sides, sides)[..., None].astype(np.float64)


def _pooled_evenly(pixels: Pixels, side: int) -> npt.NDArray[np.float64]:
    """The same sums where all rectangles have one `side`: every import computes one per image, and
    adding slices is four times as fast as reduceat."""
    rows = pixels.reshape(_GRID, side, -1)
    sums = rows[:, 0].astype(np.uint32)
    for at in range(1, side):
        sums += rows[:, at]
    columns = sums.reshape(_GRID, _GRID, side, 3)
    pooled = columns[:, :, 0].copy()
    for at in range(1, side):
        pooled += columns[:, :, at]
    return pooled.astype(np.float64)


def _hash(brightness: npt.NDArray[np.float64]) -> str:
    lowest = (_COSINES @ brightness @ _COSINES.T).ravel()
    bits = lowest > np.median(lowest[1:]) + _LEAST
    return np.packbits(bits).tobytes().hex()
