"""Matrices of which few values are not zero, row after row, and what numpy can do with them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from services.retrieval.linear import Float64

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A square matrix [size, size]: `rows` int64 [e], not descending, and `columns` int64 [e] of
    the entries, none twice; `values` float64 [e] goes with them where there is one."""

    size: int
    rows: Int64
    columns: Int64
    values: Float64

    @classmethod
    def of_keys(cls, size: int, keys: Int64, values: Float64 | None = None) -> "SparseRows":
        """From ascending keys row * size + column; without values all are 1."""
        rows, columns = np.divmod(keys, size)
        return cls(size, rows, columns, np.ones(len(keys)) if values is None else values)

    @cached_property
    def keys(self) -> Int64:
        """row * size + column [e]."""
        keys: Int64 = self.rows * self.size + self.columns
        return keys

    @cached_property
    def starts(self) -> Int64:
        """int64 [size + 1]: the entries of row i are those from starts[i] to starts[i + 1]."""
        starts: Int64 = np.searchsorted(self.rows, np.arange(self.size + 1)).astype(np.int64)
        return starts

    @property
    def lengths(self) -> Int64:
        """Entries of each row, int64 [size]."""
        return np.diff(self.starts)

    def kept(self, chosen: Bool) -> "SparseRows":
        """The entries [e] that are chosen."""
        return SparseRows(self.size, self.rows[chosen], self.columns[chosen], self.values[chosen])

    def transposed(self) -> "SparseRows":
        order = np.lexsort((self.rows, self.columns))
        return SparseRows(self.size, self.columns[order], self.rows[order], self.values[order])

    def sums(self, weights: Float64) -> Float64:
        """Sum of each row [size], of values times the weights [size] of their columns."""
        return summed(self.rows, self.values * weights[self.columns], self.size)

    def entries_of(self, rows: Int64) -> tuple[Int64, Int64]:
        """All entries of rows [r]: which of `rows` each belongs to, and which entry it is."""
        lengths = self.lengths[rows]
        owners = np.repeat(np.arange(len(rows)), lengths)
        before = np.cumsum(lengths) - lengths
        entries: Int64 = np.arange(len(owners)) + (self.starts[rows] - before)[owners]
        return owners, entries


def contains(keys: Int64, wanted: Int64) -> Bool:
    """Which of `wanted` are among the ascending `keys`."""
    if not len(keys):
        return np.zeros(len(wanted), bool)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Bool = keys[places] == wanted
    return found


def added_up(keys: Int64, values: Float64) -> tuple[Int64, Float64]:
    """Distinct keys, ascending, and the sum of the values of each."""
    distinct, places = np.unique(keys, return_inverse=True)
    return distinct, summed(places, values, len(distinct))


def summed(places: Int64, values: Float64, size: int) -> Float64:
    """float64 [size]: at each place the sum of the values that have it."""
    return np.bincount(places, values, size).astype(np.float64, copy=False)


def batches(costs: Int64, most: int) -> Iterator[slice]:
    """Consecutive slices whose costs are at most `most` together; one alone may cost more."""
    ends = np.cumsum(costs)
    start = spent = 0
    while start < len(costs):
        end = max(start + 1, int(np.searchsorted(ends, spent + most, side="right")))
        yield slice(start, end)
        start, spent = end, int(ends[end - 1])
