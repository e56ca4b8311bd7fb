"""Made-up embeddings that lie in clusters, as those of products do."""

import numpy as np

from services.core.ports import Float32


def clustered(
    count: int, clusters: int, dimension: int, *, seed: int, spread: float = 0.6
) -> Float32:
    """Vectors [count, dimension] of length 1, each around one of the clusters' centres; `spread` is
    the length of the noise beside that of a centre."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((clusters, dimension))
    noise = random.standard_normal((count, dimension))
    rows = centres[random.integers(clusters, size=count)] + spread * noise
    unit: Float32 = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit
