"""The pages of a dataset, and the vectors that a model gives for their rows."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from services.core.dataset_files import DatasetRow, Place, read_places, read_rows
from services.core.domain.errors import DataLoss, InvalidArgument
from services.core.domain.keys import page_key
from services.core.domain.model import Model
from services.core.ports import Float32, ObjectStore
from services.core.shard_files import Embeddings, read_embeddings
from services.retrieval.composing import compose
from services.retrieval.linear_store import LinearStore

Bools = npt.NDArray[np.bool_]
_FILES = 4  # of each member that stay in memory: neighbours on a page share files


def read_pages(objects: ObjectStore, prefix: str, role: str) -> Iterator[list[DatasetRow]]:
    """One page after the other; none where there are none. Raises DataLoss."""
    number = 0
    while objects.size(key := page_key(prefix, role, number)) is not None:
        yield read_rows(objects.get(key))
        number += 1


def read_page_places(
    objects: ObjectStore, prefix: str, role: str, number: int, rows: int
) -> list[Place]:
    """Where the embeddings of a page of so many `rows` are.

    Raises NotFound, DataLoss (PLACES_INCOMPLETE).
    """
    key = page_key(prefix, role, number)
    places = read_places(objects.get(key))
    if len(places) != rows:
        raise DataLoss(
            f"{key} has {len(places)} places for {rows} images", reason="PLACES_INCOMPLETE"
        )
    return places


class ModelVectors:
    """Vectors of a model, from the embeddings files of its members."""

    def __init__(self, objects: ObjectStore, model: Model) -> None:
        self._objects = objects
        self._model = model
        self._linears = LinearStore(objects).of(model)
        self._file = lru_cache(maxsize=_FILES * len(model.members))(self._read)

    def of(self, places: Sequence[Place]) -> tuple[Float32, Bools]:
        """float32 [n, embedding_dim], and [n]: which are known; zeros stand for the others.

        Raises NotFound where a file is missing, DataLoss (EMBEDDINGS_INCOMPLETE) where it has too
        few rows, InvalidArgument (PLACES_DIFFER) where a place is of a model with another number of
        members.
        """
        vectors = np.zeros((len(places), self._model.embedding_dim), np.float32)
        known = np.array([bool(each.files) for each in places], np.bool_)
        for files, at in _by_files(places).items():
            self._check(files, places[at[0]])
            rows = np.array([places[each].rows for each in at], np.int64)
            parts = [
                _taken(name, self._file(name), wanted)
                for name, wanted in zip(files, rows.T, strict=True)
            ]
            vectors[at] = compose(self._model, parts, self._linears)
        return vectors, known

    def _check(self, files: tuple[str, ...], place: Place) -> None:
        members = len(self._model.members)
        if not len(files) == len(place.rows) == members:
            raise InvalidArgument(
                f"a place names {len(files)} embeddings, the model has {members} members: make the "
                "places again",
                reason="PLACES_DIFFER",
            )

    def _read(self, key: str) -> Embeddings:
        return read_embeddings(self._objects.get(key))


def _by_files(places: Sequence[Place]) -> dict[tuple[str, ...], list[int]]:
    """The positions of those with the same files, sorted by file: each is read once a call."""
    found: dict[tuple[str, ...], list[int]] = {}
    for at, place in enumerate(places):
        if place.files:
            found.setdefault(place.files, []).append(at)
    return dict(sorted(found.items()))


def _taken(name: str, file: Embeddings, wanted: npt.NDArray[np.int64]) -> tuple[Float32, Float32]:
    if wanted.min() < 0 or wanted.max() >= len(file.norms):
        raise DataLoss(
            f"embeddings file {name} has {len(file.norms)} rows, a place wants row {wanted.max()}",
            reason="EMBEDDINGS_INCOMPLETE",
        )
    return file.embeddings[wanted], file.norms[wanted]
