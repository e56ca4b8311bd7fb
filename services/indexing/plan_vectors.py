"""The vectors of an index plan, from the embeddings files that it names."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice

import numpy as np

from services.core.domain.errors import DataLoss, InvalidArgument
from services.core.domain.model import Model
from services.core.ports import Float32, ObjectStore
from services.core.shard_files import Embeddings, PlannedPoint, read_embeddings
from services.retrieval.composing import Part, compose
from services.retrieval.linear_store import LinearStore

BATCH = 256
_FILES_OF_A_MEMBER = 2  # that stay in memory: 5 MB for a thousand embeddings of 1280 values


class PlanVectors:
    """Makes the vectors that a model gives to planned upserts.

    `model` is the JSON of a Model, or empty where a plan has the vectors themselves. Keeps the last
    files that were read, for as long as it lives: for one plan, in one thread. Raises
    InvalidArgument (INVALID_MODEL_SPEC), NotFound and DataLoss for the model's linear parts.
    """

    def __init__(self, objects: ObjectStore, linears: LinearStore, model: str) -> None:
        self._objects = objects
        self._model = Model.from_json(model) if model else None
        self._linears = linears.of(self._model) if self._model else {}
        self._members = len(self._model.members) if self._model else 1
        self._file = lru_cache(maxsize=_FILES_OF_A_MEMBER * self._members)(self._read)

    def batches(
        self, planned: Sequence[PlannedPoint]
    ) -> Iterator[tuple[Sequence[PlannedPoint], Float32]]:
        """At most BATCH planned upserts at a time, and their vectors [n, d] in the same order.

        Ordered by the files that they need. Raises NotFound and DataLoss for those, InvalidArgument
        (PLAN_DIFFERS, DIMENSION_MISMATCH) where a plan does not fit the model.
        """
        ordered = iter(sorted(planned, key=lambda each: (each.embeddings, each.embedding_rows)))
        while batch := list(islice(ordered, BATCH)):
            yield batch, self._vectors(batch)

    def _vectors(self, batch: Sequence[PlannedPoint]) -> Float32:
        for each in batch:
            if not len(each.embeddings) == len(each.embedding_rows) == self._members:
                raise InvalidArgument(
                    f"point {each.point_id} is planned with {len(each.embeddings)} embeddings, "
                    f"its model has {self._members} members: make the plan again",
                    reason="PLAN_DIFFERS",
                )
        parts = [self._part(batch, member) for member in range(self._members)]
        return compose(self._model, parts, self._linears) if self._model else parts[0][0]

    def _part(self, batch: Sequence[PlannedPoint], member: int) -> Part:
        """Embeddings [n, d] and norms [n] of one member."""
        wanted: dict[str, list[int]] = {}
        for place, each in enumerate(batch):
            wanted.setdefault(each.embeddings[member], []).append(place)
        embeddings: Float32 | None = None
        norms = np.empty(len(batch), np.float32)
        for key, places in wanted.items():
            rows = [batch[place].embedding_rows[member] for place in places]
            file = self._file(key)
            found = _rows(key, file, rows)
            if embeddings is None:
                embeddings = np.empty((len(batch), found.shape[1]), np.float32)
            if found.shape[1] != embeddings.shape[1]:
                raise InvalidArgument(
                    f"embeddings file {key} has vectors of {found.shape[1]} values, another one of "
                    f"the same plan {embeddings.shape[1]}: embed its images with the same model",
                    reason="DIMENSION_MISMATCH",
                )
            embeddings[places] = found
            norms[places] = file.norms[rows]
        if embeddings is None:
            raise ValueError("no planned point")
        return embeddings, norms

    def _read(self, key: str) -> Embeddings:
        return read_embeddings(self._objects.get(key))


def _rows(key: str, file: Embeddings, rows: Sequence[int]) -> Float32:
    count = len(file.embeddings)
    for row in rows:
        if not 0 <= row < count:
            raise DataLoss(
                f"embeddings file {key} has {count} rows, the plan wants {row}",
                reason="EMBEDDINGS_INCOMPLETE",
            )
    found: Float32 = file.embeddings[rows]
    return found
