"""How new collections are kept, and how searches use what is kept."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import InvalidArgument
from services.core.ports import CollectionSpec

Datatype = Literal["float32", "float16"]
Quantization = Literal["none", "int8"]

QUANTILE = 0.99  # of the values of a vector; those beyond become the ends of the int8 range
_DATATYPES: dict[Datatype, q.Datatype.ValueType] = {
    "float32": q.Datatype.Float32,
    "float16": q.Datatype.Float16,
}
_DATATYPE_NAMES = {value: name for name, value in _DATATYPES.items()}
_AT_LEAST = {
    "hnsw_m": 0,
    "hnsw_ef_construct": 4,
    "indexing_threshold_kb": 0,
    "shard_number": 1,
    "replication_factor": 1,
    "write_consistency_factor": 1,
}


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """What a collection is made with; None leaves the choice to the server.

    A collection that exists keeps what it was made with.

    quantization: int8 keeps a quarter-size copy of every vector in memory, for indexed segments;
        searches compare that and score the best again with the vectors themselves.
    vectors_on_disk, payload_on_disk, hnsw_on_disk: mapped files instead of memory.
    datatype: float16 halves the vectors; cosines change by 4e-5 at 1280 dimensions, more at
        fewer. Collections of other distances stay float32: their vectors may be of any length.
    hnsw_m, hnsw_ef_construct: edges per node (0: no graph at all), candidates while it is built.
    indexing_threshold_kb: vectors of a segment, in kB, from which a graph is built; 0 is never.
    shard_number, replication_factor, write_consistency_factor: of a cluster of servers.
    """

    quantization: Quantization = "none"
    vectors_on_disk: bool | None = None
    payload_on_disk: bool | None = None
    datatype: Datatype = "float32"
    hnsw_m: int | None = None
    hnsw_ef_construct: int | None = None
    hnsw_on_disk: bool | None = None
    indexing_threshold_kb: int | None = None
    shard_number: int | None = None
    replication_factor: int | None = None
    write_consistency_factor: int | None = None

    def __post_init__(self) -> None:
        for name, choices in (("quantization", Quantization), ("datatype", Datatype)):
            if getattr(self, name) not in get_args(choices):
                raise InvalidArgument.field(name, f"is not one of {', '.join(get_args(choices))}")
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise InvalidArgument.field(name, f"{value} is less than {least}")

    def overruled_by(self, spec: CollectionSpec) -> "CollectionOptions":
        """What a collection is made with whose spec chooses some of it.

        One that is shared has no graph: a search looks at the points of one catalogue, which are
        few, and a graph over those of all would cost hours and serve nobody.

        Raises InvalidArgument for a quantization that is not known.
        """
        chosen: dict[str, Any] = {
            "quantization": spec.quantization,
            "vectors_on_disk": spec.on_disk,
            "hnsw_m": 0 if spec.shared else None,
        }
        return replace(self, **{name: each for name, each in chosen.items() if each is not None})

    def datatype_for(self, distance: str) -> Datatype:
        """The datatype of a collection with that distance."""
        return self.datatype if distance == "cosine" else "float32"


def create_request(
    spec: CollectionSpec, distance: q.Distance.ValueType, options: CollectionOptions
) -> q.CreateCollection:
    """The call that makes a collection; whatever is None stays unset. The spec overrules."""
    options = options.overruled_by(spec)
    datatype = options.datatype_for(spec.distance)
    vectors = q.VectorParams(
        size=spec.dimension,
        distance=distance,
        on_disk=options.vectors_on_disk,
        datatype=None if datatype == "float32" else _DATATYPES[datatype],
    )
    request = q.CreateCollection(
        collection_name=spec.name,
        vectors_config=q.VectorsConfig(params=vectors),
        on_disk_payload=options.payload_on_disk,
        shard_number=options.shard_number,
        replication_factor=options.replication_factor,
        write_consistency_factor=options.write_consistency_factor,
    )
    _set(
        request.hnsw_config,
        m=options.hnsw_m,
        ef_construct=options.hnsw_ef_construct,
        on_disk=options.hnsw_on_disk,
    )
    _set(request.optimizers_config, indexing_threshold=options.indexing_threshold_kb)
    if options.quantization == "int8":
        request.quantization_config.scalar.CopyFrom(
            q.ScalarQuantization(type=q.QuantizationType.Int8, quantile=QUANTILE, always_ram=True)
        )
    return request


def options_from(config: q.CollectionConfig) -> CollectionOptions:
    """The options in a server's description of a collection."""
    params, vectors = config.params, config.params.vectors_config.params
    return CollectionOptions(
        quantization="int8" if config.quantization_config.HasField("scalar") else "none",
        vectors_on_disk=_given(vectors, "on_disk"),
        payload_on_disk=params.on_disk_payload,
        datatype=_DATATYPE_NAMES.get(vectors.datatype, "float32"),
        hnsw_m=_given(config.hnsw_config, "m"),
        hnsw_ef_construct=_given(config.hnsw_config, "ef_construct"),
        hnsw_on_disk=_given(config.hnsw_config, "on_disk"),
        indexing_threshold_kb=_given(config.optimizer_config, "indexing_threshold"),
        shard_number=params.shard_number or None,
        replication_factor=_given(params, "replication_factor"),
        write_consistency_factor=_given(params, "write_consistency_factor"),
    )


def _set(message: Any, **values: Any) -> None:
    # Touching a field makes its message present, and servers tell that from an absent one.
    for name, value in values.items():
        if value is not None:
            setattr(message, name, value)


def _given(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None
