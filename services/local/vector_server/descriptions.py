"""What a collection is made with and described by, from and to Qdrant's messages."""

import qdrant_edge as edge

from services.core.adapters.qdrant_vectors.options import (
    CollectionOptions,
    create_request,
    options_from,
)
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.ports import CollectionSpec
from services.local.vector_server.collection import Collection
from services.local.vector_server.refusals import bad_request

_DISTANCES = {
    q.Distance.Cosine: "cosine",
    q.Distance.Euclid: "euclidean",
    q.Distance.Manhattan: "manhattan",
}
_DISTANCE_VALUES = {name: value for value, name in _DISTANCES.items()}
_DATATYPES = (q.Datatype.Default, q.Datatype.Float32, q.Datatype.Float16)


def wanted(request: q.CreateCollection) -> tuple[CollectionSpec, CollectionOptions]:
    """Raises Refused (INVALID_ARGUMENT) for what would be made otherwise than asked."""
    params = request.vectors_config.params
    distance = _DISTANCES.get(params.distance)
    if distance is None or not params.size or not request.collection_name:
        raise bad_request("a collection needs a name, one unnamed vector, and a known distance")
    if params.datatype not in _DATATYPES:
        raise bad_request("datatypes other than float32 and float16 are not served here")
    quantization = request.quantization_config.WhichOneof("quantization")
    if quantization not in (None, "scalar"):
        raise bad_request(f"{quantization} quantization is not served here")
    spec = CollectionSpec(request.collection_name, int(params.size), distance)
    return spec, options_from(_config(request))


def description(collection: Collection) -> q.GetCollectionInfoResponse:
    """Shape, options and payload indexes, as Qdrant describes a collection."""
    spec = collection.spec
    info = collection.shard.info()
    made = create_request(spec, _DISTANCE_VALUES[spec.distance], collection.options)
    schema = {field: _index(index) for field, index in info.payload_schema.items()}
    return q.GetCollectionInfoResponse(
        result=q.CollectionInfo(
            status=q.CollectionStatus.Green,
            segments_count=info.segments_count,
            config=_config(made),
            payload_schema=schema,
            points_count=info.points_count,
            indexed_vectors_count=info.indexed_vectors_count,
        )
    )


def _config(request: q.CreateCollection) -> q.CollectionConfig:
    on_disk = request.on_disk_payload if request.HasField("on_disk_payload") else True
    params = q.CollectionParams(
        vectors_config=request.vectors_config,
        on_disk_payload=on_disk,
        shard_number=request.shard_number or 1,
        replication_factor=request.replication_factor or 1,
        write_consistency_factor=request.write_consistency_factor or 1,
    )
    config = q.CollectionConfig(
        params=params,
        hnsw_config=request.hnsw_config,
        optimizer_config=request.optimizers_config,
    )
    if request.HasField("quantization_config"):
        config.quantization_config.CopyFrom(request.quantization_config)
    return config


def _index(index: "edge.PayloadIndexInfo") -> q.PayloadSchemaInfo:
    described = q.PayloadSchemaInfo(
        data_type=_schema_type(index.data_type), points=index.points or 0
    )
    if isinstance(index.params, edge.KeywordIndexParams):
        described.params.keyword_index_params.is_tenant = bool(index.params.is_tenant)
    return described


def _schema_type(kind: object) -> q.PayloadSchemaType.ValueType:
    # qdrant-edge names its types as Qdrant does: PayloadSchemaType.Keyword.
    return q.PayloadSchemaType.Value(str(kind).rsplit(".", 1)[-1])
