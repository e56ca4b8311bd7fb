"""Searches as Qdrant's requests."""

from dataclasses import dataclass

from services.core.adapters.qdrant_vectors import wire
from services.core.adapters.qdrant_vectors.filters import search_conditions
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.filters import SearchFilter
from services.core.ports import CollectionSpec, Float32

# Of int8 copies the order of the best is right but for the last places, so twice as many are scored
# with the vectors themselves.
_OVERSAMPLING = 2.0
# What a hit's payload holds: what grouping and the check against the records need. Each field of
# each hit costs 2 us in total, and a search has 5 ms; fetch() gives whole payloads.
HIT_FIELDS = ("product", "parent", "sha256")
_HIT_FIELDS = q.WithPayloadSelector(include=q.PayloadIncludeSelector(fields=HIT_FIELDS))
_VECTORS = q.WithVectorsSelector(enable=True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What all searches of one call have in common. `threshold` is a score of ours."""

    spec: CollectionSpec
    where: SearchFilter | None
    catalog: str | None
    threshold: float | None
    oversampling: float | None

    @property
    def sign(self) -> float:
        """Qdrant answers euclidean and manhattan searches with distances, ours are negative."""
        return 1.0 if self.spec.distance == "cosine" else -1.0

    def query(self, vector: Float32, limit: int, with_vectors: bool = False) -> q.QueryPoints:
        return q.QueryPoints(
            collection_name=self.spec.name,
            query=_nearest(vector),
            filter=self._filter(),
            params=self._params(),
            score_threshold=self._threshold(),
            limit=limit,
            with_payload=_HIT_FIELDS,
            with_vectors=_VECTORS if with_vectors else None,
        )

    def groups(
        self, vector: Float32, field: str, groups: int, per_group: int, also: q.Filter | None
    ) -> q.QueryPointGroups:
        """Groups by a payload field, of the points that meet `also` besides."""
        nested = [q.Condition(filter=each) for each in (self._filter(), also) if each is not None]
        return q.QueryPointGroups(
            collection_name=self.spec.name,
            query=_nearest(vector),
            filter=q.Filter(must=nested) if nested else None,
            params=self._params(),
            score_threshold=self._threshold(),
            group_by=field,
            limit=groups,
            group_size=per_group,
            with_payload=_HIT_FIELDS,
        )

    def _filter(self) -> q.Filter | None:
        return search_conditions(self.where, self.catalog)

    def _threshold(self) -> float | None:
        return None if self.threshold is None else self.sign * self.threshold

    def _params(self) -> q.SearchParams:
        # A collection without quantization ignores it.
        oversampling = self.oversampling
        if oversampling is None and self.spec.quantization == "int8":
            oversampling = _OVERSAMPLING
        rescoring = q.QuantizationSearchParams(rescore=True, oversampling=oversampling)
        return q.SearchParams(quantization=rescoring)


def _nearest(vector: Float32) -> q.Query:
    return q.Query(nearest=q.VectorInput(dense=wire.dense_vector(vector)))
