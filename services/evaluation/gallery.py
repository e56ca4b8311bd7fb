"""The embeddings that index plans name: every image once, every file once where that is possible.

A catalogue is not held in memory: a wave of rows is gathered from the plans, then the files that
they are in are read one after the other. What stays is a byte an image, which was seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from services.core.domain.errors import DataLoss, InvalidArgument
from services.core.ports import ObjectStore
from services.core.shard_files import Embeddings, read_embeddings, read_plan
from services.retrieval.composing import Part

WAVE = 1_000_000  # rows
BATCH = 4_096
_PLANS = "-plan.parquet"

Files = tuple[str, ...]
Rows = npt.NDArray[np.int64]


class Gallery:
    """The embeddings of a model with so many `members`, for one pass over them.

    `wave` is how many rows are gathered before their files are read, at least.
    """

    def __init__(self, objects: ObjectStore, members: int, wave: int = WAVE) -> None:
        self._objects = objects
        self._members = members
        self._wave = wave
        # Rows of one image are in a file of each member; neighbours share some of these.
        self._file = lru_cache(maxsize=2 * members)(self._read)
        self._seen: dict[str, npt.NDArray[np.bool_]] = {}

    def parts(self, plans: str) -> Iterator[list[Part]]:
        """Embeddings and norms of each member, at most 4096 rows at a time, of all images that the
        plans below the object key prefix `plans` upsert.

        An image, which is a row of the first member's file, comes once. Raises NotFound where a
        file is missing, DataLoss (EMBEDDINGS_INCOMPLETE) where it has too few rows, InvalidArgument
        (PLAN_DIFFERS) where a plan is of a model with another number of members.
        """
        for files, rows in self._groups(plans):
            yield from self._parts_of(files, rows)

    def _groups(self, prefix: str) -> Iterator[tuple[Files, Rows]]:
        named: dict[Files, int] = {}
        tables: list[Rows] = []
        gathered = 0
        # Sorted, so that the same plans give the same sums.
        for key in sorted(each for each in self._objects.keys(prefix) if each.endswith(_PLANS)):
            tables.append(self._table(key, named))
            gathered += len(tables[-1])
            if gathered >= self._wave:
                yield from _by_files(named, tables)
                named, tables, gathered = {}, [], 0
        yield from _by_files(named, tables)

    def _table(self, key: str, named: dict[Files, int]) -> Rows:
        """[n, 1 + members]: the number that `named` has for the files, and a row of each."""
        plan = [each for each in read_plan(self._objects.get(key)) if each.action == "upsert"]
        for each in plan:
            if not len(each.embeddings) == len(each.embedding_rows) == self._members:
                raise InvalidArgument(
                    f"plan {key} names {len(each.embeddings)} embeddings of point "
                    f"{each.point_id}, the model has {self._members} members: make the plan again",
                    reason="PLAN_DIFFERS",
                )
        listed = [
            (named.setdefault(each.embeddings, len(named)), *each.embedding_rows) for each in plan
        ]
        return np.array(listed, np.int64).reshape(-1, 1 + self._members)

    def _parts_of(self, files: Files, rows: Rows) -> Iterator[list[Part]]:
        read = [self._file(each) for each in files]
        for name, file, wanted in zip(files, read, rows.T, strict=True):
            _check_rows(name, len(file.norms), wanted)
        seen = self._seen.setdefault(files[0], np.zeros(len(read[0].norms), np.bool_))
        _, first = np.unique(rows[:, 0], return_index=True)
        fresh = rows[first][~seen[rows[first, 0]]]
        seen[fresh[:, 0]] = True
        for start in range(0, len(fresh), BATCH):
            batch = fresh[start : start + BATCH].T
            yield [
                (file.embeddings[wanted], file.norms[wanted])
                for file, wanted in zip(read, batch, strict=True)
            ]

    def _read(self, key: str) -> Embeddings:
        return read_embeddings(self._objects.get(key))


def _by_files(named: Mapping[Files, int], tables: Sequence[Rows]) -> Iterator[tuple[Files, Rows]]:
    """The rows [k, members] of each group of files, those with the same first file together."""
    if not named:
        return
    table = np.concatenate(tables)
    table = table[np.argsort(table[:, 0], kind="stable")]
    bounds = np.searchsorted(table[:, 0], np.arange(len(named) + 1))
    for files, number in sorted(named.items()):
        yield files, table[bounds[number] : bounds[number + 1], 1:]


def _check_rows(name: str, count: int, wanted: Rows) -> None:
    if wanted.min() < 0 or wanted.max() >= count:
        raise DataLoss(
            f"embeddings file {name} has {count} rows, a plan wants row {wanted.max()}",
            reason="EMBEDDINGS_INCOMPLETE",
        )
