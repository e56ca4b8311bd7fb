"""Which pictures of a page are copies of one of the queries (core.domain.near_duplicates)."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from services.core.dataset_files import DatasetRow
from services.core.domain.near_duplicates import MOST_BITS, MOST_LEVELS, THUMBNAIL, Pixels
from services.core.ports import ObjectStore
from services.core.shard_files import read_embeddings

Bools = npt.NDArray[np.bool_]
_QUERIES = 512  # compared at a time with a page: 16 MiB of differing bits
_PAIRS = 8_192  # of thumbnails, compared at a time: 12 MiB of differences
_FILES = 4
_VALUES = THUMBNAIL * THUMBNAIL * 3


class NearCopies:
    """Finds copies of `queries`. A picture without hash or thumbnail is nobody's copy.

    Keeps the queries' thumbnails in memory, 768 bytes each.
    """

    def __init__(self, objects: ObjectStore, queries: Sequence[DatasetRow]) -> None:
        self._objects = objects
        self._file = lru_cache(maxsize=_FILES)(self._read)
        self._hashes, self._thumbnails = self._looks(queries)

    def among(self, rows: Sequence[DatasetRow]) -> Bools:
        """[n]: whether each is a copy of any query. Raises NotFound, DataLoss."""
        found = np.zeros(len(rows), np.bool_)
        hashed = np.array([at for at, each in enumerate(rows) if each.picture_hash], np.int64)
        hashes = _numbers([rows[at] for at in hashed])
        for start in range(0, len(self._hashes), _QUERIES):
            queries = self._hashes[start : start + _QUERIES]
            bits = np.bitwise_count(hashes[:, None] ^ queries[None, :])
            alike, query = np.nonzero(bits <= MOST_BITS)
            self._compare(rows, hashed[alike], query + start, found)
        return found

    def _compare(
        self,
        rows: Sequence[DatasetRow],
        at: npt.NDArray[np.int64],
        queries: npt.NDArray[np.int64],
        found: Bools,
    ) -> None:
        """Marks in `found` those of the pairs (row, query) whose thumbnails are alike too."""
        wanted = np.unique(at[~found[at]])
        known, thumbnails = self._page_thumbnails(rows, wanted)
        for start in range(0, len(at), _PAIRS):
            some = slice(start, start + _PAIRS)
            place = np.searchsorted(known, at[some])
            place[place == len(known)] = 0
            pairs = np.flatnonzero(known[place] == at[some]) if len(known) else place[:0]
            differences = np.abs(
                thumbnails[place[pairs]].astype(np.int16) - self._thumbnails[queries[some][pairs]]
            )
            same = pairs[differences.max(axis=1, initial=0) <= MOST_LEVELS]
            found[at[some][same]] = True

    def _page_thumbnails(
        self, rows: Sequence[DatasetRow], wanted: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], Pixels]:
        """Those of `wanted` that have a thumbnail, ascending, and it: uint8 [k, 768]."""
        known, thumbnails = self._read_thumbnails([rows[each] for each in wanted])
        return wanted[known], thumbnails

    def _looks(self, rows: Sequence[DatasetRow]) -> tuple[npt.NDArray[np.uint64], Pixels]:
        hashed = [each for each in rows if each.picture_hash]
        known, thumbnails = self._read_thumbnails(hashed)
        return _numbers(hashed)[known], thumbnails

    def _read_thumbnails(self, rows: Sequence[DatasetRow]) -> tuple[npt.NDArray[np.int64], Pixels]:
        """Positions of those with a thumbnail, ascending, and it: uint8 [k, 768]."""
        thumbnails = np.zeros((len(rows), _VALUES), np.uint8)
        known = np.zeros(len(rows), np.bool_)
        # Sorted by file, so that each is read once.
        for at in sorted(range(len(rows)), key=lambda each: rows[each].embeddings):
            row = rows[at]
            file = self._file(row.embeddings) if row.embeddings else None
            if file is not None and 0 <= row.embedding_row < len(file):
                thumbnails[at] = file[row.embedding_row]
                known[at] = True
        return np.flatnonzero(known), thumbnails[known]

    def _read(self, key: str) -> Pixels | None:
        thumbnails = read_embeddings(self._objects.get(key)).thumbnails
        return None if thumbnails is None else thumbnails.reshape(-1, _VALUES)


def _numbers(rows: Sequence[DatasetRow]) -> npt.NDArray[np.uint64]:
    return np.array([int(each.picture_hash, 16) for each in rows], np.uint64)
