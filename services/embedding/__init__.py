"""Worker: shards of images to embeddings, and query photos, micro-batched."""
