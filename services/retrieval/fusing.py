"""One query out of several photos of one product."""

import numpy as np

from services.core.ports import Float32
from services.retrieval.pairwise import check_distance, check_vectors, unit


def fuse(embeddings: Float32, distance: str) -> Float32:
    """The mean float32 [d] of embeddings [n, d], for cosine brought to length 1.

    A single embedding comes back unchanged, and the first where for cosine all of them cancel out.
    Raises ValueError without embeddings.
    """
    check_distance(distance)
    check_vectors("embeddings", embeddings)
    if not len(embeddings):
        raise ValueError("there are no embeddings to fuse")
    fused: Float32 = embeddings[0].astype(np.float32)
    if len(embeddings) == 1:
        return fused
    mean = embeddings.astype(np.float64).mean(axis=0)
    if distance != "cosine":
        fused = mean.astype(np.float32)
    elif np.linalg.norm(mean) > np.finfo(np.float32).eps:
        fused = unit(mean).astype(np.float32)
    return fused
