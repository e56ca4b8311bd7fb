"""The vector store in Qdrant, over gRPC."""

from services.core.adapters.qdrant_vectors.adapter import QdrantVectors

__all__ = ["QdrantVectors"]
