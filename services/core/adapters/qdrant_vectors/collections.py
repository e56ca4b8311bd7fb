"""Collections of a Qdrant server: their making, their shape, their payload indexes."""

import numpy as np

from services.core.adapters.qdrant_vectors.connection import Connection
from services.core.adapters.qdrant_vectors.options import (
    CollectionOptions,
    create_request,
    options_from,
)
from services.core.adapters.qdrant_vectors.payload_indexes import is_shared, missing_indexes
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from services.core.ports import CollectionSpec, Float32

_DISTANCES = {
    "cosine": q.Distance.Cosine,
    "euclidean": q.Distance.Euclid,
    "manhattan": q.Distance.Manhattan,
}
_NAMES = {value: name for name, value in _DISTANCES.items()}


class Collections:
    """What a server holds. Shapes are remembered: a collection keeps its shape as long as it
    lives, and a name is not used again for another shape (it carries the model's digest)."""

    def __init__(self, connection: Connection, options: CollectionOptions) -> None:
        self._connection = connection
        self._options = options
        self._stub = q.CollectionsStub(connection.channel)  # type: ignore[no-untyped-call]
        self._points = q.PointsStub(connection.channel)  # type: ignore[no-untyped-call]
        self._specs: dict[str, CollectionSpec] = {}

    def spec(self, name: str, timeout: float | None = None) -> CollectionSpec | None:
        """What the collection was made with, None when there is no such collection."""
        known = self._specs.get(name)
        if known is not None:
            return known
        info = self._info(name, timeout)
        return None if info is None else self._remember(name, info)

    def options(self, name: str) -> CollectionOptions | None:
        """What the collection was made with, None when there is no such collection."""
        info = self._info(name)
        return None if info is None else options_from(info.config)

    def forget(self, name: str) -> None:
        self._specs.pop(name, None)

    def ensure(self, spec: CollectionSpec) -> None:
        """Makes the collection and those of its payload indexes that are missing."""
        distance = _DISTANCES.get(spec.distance)
        if distance is None:
            raise InvalidArgument.field("distance", f"'{spec.distance}' is not supported")
        info = self._info(spec.name)
        if info is None:
            self._create(spec, distance)
            info = self._info(spec.name)
            if info is None:
                raise NotFound(f"collection {spec.name} was dropped while it was made")
        stored = self._remember(spec.name, info)
        if (stored.dimension, stored.distance) != (spec.dimension, spec.distance):
            raise FailedPrecondition(
                f"collection {spec.name} has {stored.dimension} dimensions and {stored.distance} "
                f"distance, not {spec.dimension} and {spec.distance}: use another name",
                reason="COLLECTION_DIFFERS",
            )
        missing = missing_indexes(spec.name, info.payload_schema, shared=spec.shared)
        for request in missing:
            self._connection.call(self._points.CreateFieldIndex, request)
        if missing:
            self.forget(spec.name)  # it may be shared from now on

    def drop(self, name: str) -> None:
        self.forget(name)
        try:
            self._connection.call(self._stub.Delete, q.DeleteCollection(collection_name=name))
        except NotFound:
            return

    def _create(self, spec: CollectionSpec, distance: q.Distance.ValueType) -> None:
        request = create_request(spec, distance, self._options)
        try:
            self._connection.call(self._stub.Create, request)
        except (AlreadyExists, InvalidArgument) as error:
            # Another worker was faster; some versions call that a bad request.
            if "exists" not in error.message:
                raise

    def _info(self, name: str, timeout: float | None = None) -> q.CollectionInfo | None:
        try:
            request = q.GetCollectionInfoRequest(collection_name=name)
            info: q.CollectionInfo = self._connection.call(self._stub.Get, request, timeout).result
            return info
        except NotFound:
            self.forget(name)
            return None

    def _remember(self, name: str, info: q.CollectionInfo) -> CollectionSpec:
        params = info.config.params.vectors_config.params
        distance = _NAMES.get(params.distance)
        if distance is None or not params.size:
            raise FailedPrecondition(
                f"collection {name} was not made by Shelflens: it has named vectors or a "
                "distance that is not supported",
                reason="COLLECTION_DIFFERS",
            )
        options = options_from(info.config)
        spec = CollectionSpec(
            name,
            int(params.size),
            distance,
            is_shared(info),
            options.quantization,
            options.vectors_on_disk,
        )
        self._specs[name] = spec
        return spec


def check_vector(vector: Float32, spec: CollectionSpec) -> None:
    """Raises InvalidArgument (DIMENSION_MISMATCH, VECTOR_NOT_FINITE)."""
    if vector.shape != (spec.dimension,):
        raise InvalidArgument(
            f"vector of shape {vector.shape} for collection {spec.name} with "
            f"{spec.dimension} dimensions: embed it with that collection's model",
            reason="DIMENSION_MISMATCH",
        )
    if not np.isfinite(vector).all():
        raise InvalidArgument("vector holds values that are not finite", reason="VECTOR_NOT_FINITE")
