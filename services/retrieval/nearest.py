"""The nearest of a gallery to each query, exactly, in memory that does not grow with either.

Scores are made a tile (some queries x some of the gallery) at a time; of each tile only what is
not behind the k best so far goes on, which after the first tile is next to nothing.
"""

from collections.abc import Callable, Iterator

import numpy as np

from services.core.domain.errors import DataLoss, InvalidArgument
from services.core.domain.model_spec import DISTANCES
from services.core.ports import Float32
from services.retrieval.ranking_keys import (
    Int64,
    UInt32,
    UInt64,
    pack,
    positions_of,
    scores_of,
    shuffles,
)

Scorer = Callable[[Float32, Float32], Float32]

_BUDGET = 256 << 20
_CELL_BYTES = 64  # of a score in a tile, where all of it goes on
_QUERIES = 1024  # in a tile, at most
_BLOCK = 64  # rows of either side come in full blocks of so many
# Values at once that stay in the processor's cache, and those of manhattan by side.
_CACHED = 1 << 18
_STRIP = 128, 512


def nearest(
    queries: Float32,
    gallery: Float32,
    k: int,
    distance: str,
    *,
    seed: int = 0,
    budget: int = _BUDGET,
) -> tuple[Float32, Int64]:
    """Scores float32 [q, k'] (higher is nearer) and positions in the gallery int64 [q, k'], best
    first, k' = min(k, g), of `queries` float32 [q, d] in `gallery` float32 [g, d].

    `distance` cosine: all have length 1, and scores are inner products. euclidean, manhattan:
    scores are negative distances. Equal scores come in an order drawn for each query from `seed`,
    so that embeddings that say nothing score at chance: give every part of a query set a seed of
    its own. Beyond input and result about `budget` bytes are held. Raises InvalidArgument
    (UNKNOWN_DISTANCE, DIMENSION_MISMATCH, TOO_FEW_RESULTS), DataLoss (EMBEDDING_NOT_FINITE).
    """
    _check(queries, gallery, k, distance)
    k = min(k, len(gallery))
    scores = np.empty((len(queries), k), np.float32)
    positions = np.empty((len(queries), k), np.int64)
    if not scores.size:
        return scores, positions
    shuffle = shuffles(len(queries), seed)[:, None]
    ranked = _Ranked(gallery, distance, k, budget)
    for some in _spans(len(queries), ranked.queries):
        keys = ranked.keys(queries[some], shuffle[some])
        scores[some], positions[some] = scores_of(keys), positions_of(keys, shuffle[some])
    return scores, positions


class _Ranked:
    """The gallery in tiles, and what they take."""

    def __init__(self, gallery: Float32, distance: str, k: int, budget: int) -> None:
        self._gallery, self._distance, self._k = gallery, distance, k
        self.queries = _blocks(min(_QUERIES, budget // (2 * _CELL_BYTES * k)))
        self._width = _blocks(budget // (2 * _CELL_BYTES * self.queries))
        # Distances do not change with the origin; rounding does.
        self._origin: Float32 | None = None
        if distance == "euclidean":
            self._origin = gallery.mean(axis=0, dtype=np.float64).astype(np.float32)

    def keys(self, queries: Float32, shuffle: UInt32) -> UInt64:
        """uint64 [q, k], best first."""
        score = _SCORERS[self._distance]
        filled = self._filled(queries)
        best = np.zeros((len(queries), self._k), np.uint64)
        for some in _spans(len(self._gallery), self._width):
            tile = self._filled(self._gallery[some])
            scores = score(filled, tile)[: len(queries), : some.stop - some.start]
            best = _merged(best, scores, some.start, shuffle)
        _check_finite(scores_of(best))
        if self._distance == "euclidean":
            best = self._measured(best, queries, shuffle)
        best.sort(axis=1)
        return best[:, ::-1]

    def _filled(self, rows: Float32) -> Float32:
        """As they are compared, with zeros to the next full block: BLAS adds up in another order at
        the edge of a matrix, and of two equal images the one there would seem nearer or farther."""
        if self._origin is not None:
            rows = rows - self._origin
        missing = -len(rows) % _BLOCK
        return np.pad(rows, ((0, missing), (0, 0))) if missing else rows

    def _measured(self, keys: UInt64, queries: Float32, shuffle: UInt32) -> UInt64:
        """The same with the distances themselves: what was ranked by is far less precise where a
        query nearly is what it finds."""
        positions = positions_of(keys, shuffle)
        rows = max(1, _CACHED // (positions.shape[1] * queries.shape[1]))
        for some in _spans(len(queries), rows):
            steps = self._gallery[positions[some]]
            steps -= queries[some, None]
            scores = -np.sqrt(np.einsum("qkd,qkd->qk", steps, steps))
            _check_finite(scores)
            keys[some] = pack(scores, positions[some], shuffle[some])
        return keys


def _merged(best: UInt64, scores: Float32, start: int, shuffle: UInt32) -> UInt64:
    """The k largest keys [q, k], in any order, of `best` and of the tile `scores` [q, t] of the
    gallery from `start`."""
    k = best.shape[1]
    least = scores_of(best.min(axis=1))
    if not best.any() and scores.shape[1] > k:
        least = np.partition(scores, -k, axis=1)[:, -k]
    # Flat: in two dimensions numpy looks for what is True ten times as long.
    ahead = np.flatnonzero(scores >= np.nan_to_num(least, nan=-np.inf)[:, None])
    rows, columns = np.divmod(ahead, scores.shape[1])
    if not len(rows):
        return best
    counts = np.bincount(rows, minlength=len(best))
    places = k + np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    merged = np.zeros((len(best), k + int(counts.max())), np.uint64)
    merged[:, :k] = best
    merged[rows, places] = pack(scores[rows, columns], columns + start, shuffle[rows, 0])
    merged.partition(merged.shape[1] - k, axis=1)
    return merged[:, -k:].copy()


def _products(queries: Float32, tile: Float32) -> Float32:
    return queries @ tile.T


def _half_squares(queries: Float32, tile: Float32) -> Float32:
    """Half the square of the query's length less half that of the distance: the same order."""
    scores = queries @ tile.T
    scores -= np.square(tile).sum(axis=1) / 2
    return scores


def _city_blocks(queries: Float32, tile: Float32) -> Float32:
    """A dimension at a time over strips, where each step is a plain loop over neighbours."""
    columns = np.ascontiguousarray(tile.T)
    scores = np.zeros((len(queries), len(tile)), np.float32)
    for some in _spans(len(queries), _STRIP[0]):
        for others in _spans(len(tile), _STRIP[1]):
            total = np.zeros((some.stop - some.start, others.stop - others.start), np.float32)
            step = np.empty_like(total)
            for query, column in zip(queries[some].T, columns[:, others], strict=True):
                np.subtract(query[:, None], column, out=step)
                np.abs(step, out=step)
                total -= step
            scores[some, others] = total
    return scores


_SCORERS: dict[str, Scorer] = {
    "cosine": _products,
    "euclidean": _half_squares,
    "manhattan": _city_blocks,
}


def _blocks(rows: int) -> int:
    """The multiple of a block that is no more than `rows`, or one."""
    return max(_BLOCK, rows // _BLOCK * _BLOCK)


def _spans(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _check(queries: Float32, gallery: Float32, k: int, distance: str) -> None:
    if distance not in DISTANCES:
        raise InvalidArgument.field(
            "distance", f"'{distance}' is none of {', '.join(DISTANCES)}", reason="UNKNOWN_DISTANCE"
        )
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise InvalidArgument.field(
            "queries",
            f"embeddings {queries.shape} do not fit a gallery {gallery.shape}",
            reason="DIMENSION_MISMATCH",
        )
    if k < 1:
        raise InvalidArgument.field("k", f"{k} is below 1", reason="TOO_FEW_RESULTS")
    for rows in (queries, gallery):
        for some in _spans(len(rows), _QUERIES):
            _check_finite(rows[some])


def _check_finite(values: Float32) -> None:
    if not np.isfinite(values).all():
        raise DataLoss(
            "an embedding holds values that are not finite, or too large to compare: embed its "
            "image again",
            reason="EMBEDDING_NOT_FINITE",
        )
