"""The vector store in Qdrant, over gRPC."""

from services.core.adapters.qdrant_vectors.adapter import QdrantVectors
from services.core.adapters.qdrant_vectors.options import CollectionOptions

__all__ = ["CollectionOptions", "QdrantVectors"]
