"""Whether a collection holds and finds what it was filled with."""

from collections.abc import Sequence

import numpy as np

from services.core.outcomes import CollectionVerified
from services.core.ports import Float32, Point, VectorStore

# The largest angle between a stored vector and the same one made again, as its cosine; a vector of
# half precision keeps 0.9999998.
LEAST_COSINE = 0.9999
_LENGTHS = 1e-3  # by which the lengths of the two may differ, relative
LIMIT = 10  # hits of a search among which its own point is to be


class Verifier:
    """Looks probes up in `collection`, which may be shared: then `catalog` is whose they are."""

    def __init__(self, vectors: VectorStore, collection: str, catalog: str | None) -> None:
        self._vectors = vectors
        self._collection = collection
        self._catalog = catalog
        self._probes = 0
        self._missing: list[str] = []
        self._different: list[str] = []
        self._unfound: list[str] = []

    def look_up(self, ids: Sequence[str], expected: Float32) -> None:
        """Compares the points with the vectors [n, d] that they should have, and searches these."""
        self._probes += len(ids)
        stored = self._vectors.fetch(self._collection, ids)
        there = [number for number, each in enumerate(ids) if self._is_there(stored.get(each))]
        self._missing += [each for number, each in enumerate(ids) if number not in set(there)]
        queries = [expected[number] for number in there]
        rankings = self._vectors.search_batch(
            self._collection, queries, limit=LIMIT, catalog=self._catalog
        )
        for number, query, hits in zip(there, queries, rankings, strict=True):
            point = stored[ids[number]]
            if not _same(point.vector, query):
                self._different.append(point.id)
            found = [hit.id for hit in hits]
            if point.id not in found and not self._is_behind_its_equals(found, query):
                self._unfound.append(point.id)

    def outcome(self) -> CollectionVerified:
        """What was found so far, and how many points there are."""
        return CollectionVerified(
            points=self._vectors.count(self._collection, self._catalog),
            probes=self._probes,
            missing=tuple(self._missing),
            different=tuple(self._different),
            unfound=tuple(self._unfound),
        )

    def _is_there(self, point: Point | None) -> bool:
        if point is None:
            return False
        return self._catalog is None or point.payload.get("catalog") == self._catalog

    def _is_behind_its_equals(self, found: Sequence[str], query: Float32) -> bool:
        """Many products may have one picture: then all hits are as near as the point itself."""
        if len(found) < LIMIT:
            return False
        hits = self._vectors.fetch(self._collection, found)
        return all(_same(each.vector, query) for each in hits.values())


def _same(stored: Float32, expected: Float32) -> bool:
    """Whether two vectors [d] are one but for rounding; a store for cosines keeps length 1."""
    lengths = float(np.linalg.norm(stored)), float(np.linalg.norm(expected))
    if not all(lengths):
        return lengths[0] == lengths[1]
    cosine = float(np.dot(stored.astype(np.float64), expected)) / (lengths[0] * lengths[1])
    as_long = any(abs(lengths[0] - each) <= _LENGTHS * each for each in (1.0, lengths[1]))
    return cosine > LEAST_COSINE and as_long
