"""The worker that keeps the vector storage: it applies index plans and drops collections."""
