"""The Qdrant server."""

from urllib.parse import urlsplit

from services.core.adapters.qdrant_vectors import CollectionOptions, QdrantVectors
from services.core.runtime.service_settings import VectorSettings

_GRPC_PORT = 6334


def open_vectors(settings: VectorSettings) -> QdrantVectors:
    """Connects with its first call. Raises FailedPrecondition (CA_FILE_UNREADABLE)."""
    parts = urlsplit(settings.qdrant_url)
    oversampling = settings.qdrant_oversampling
    return QdrantVectors(
        parts.hostname or "",
        parts.port or _GRPC_PORT,
        api_key=settings.qdrant_api_key.get_secret_value() or None,
        tls=parts.scheme == "https",
        ca_file=settings.qdrant_ca_file,
        options=collection_options(settings),
        oversampling=oversampling,
    )


def collection_options(settings: VectorSettings) -> CollectionOptions:
    """What new collections are made with."""
    return CollectionOptions(
        quantization=settings.qdrant_quantization,
        vectors_on_disk=settings.qdrant_vectors_on_disk,
        payload_on_disk=settings.qdrant_payload_on_disk,
        datatype=settings.qdrant_datatype,
        hnsw_m=settings.qdrant_hnsw_m,
        hnsw_ef_construct=settings.qdrant_hnsw_ef_construct,
        hnsw_on_disk=settings.qdrant_hnsw_on_disk,
        indexing_threshold_kb=settings.qdrant_indexing_threshold_kb,
        shard_number=settings.qdrant_shard_number,
        replication_factor=settings.qdrant_replication_factor,
        write_consistency_factor=settings.qdrant_write_consistency_factor,
    )
