"""Two halves of the queries that share neither a product nor a group of photos."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def held_out(products: Sequence[str], clusters: Sequence[str], seed: int) -> npt.NDArray[np.bool_]:
    """[q]: the queries of the second half, on which nothing is fitted.

    Products that a cluster (QueryResults.cluster) joins go to one half together. Which half that is
    depends on `seed` and their names alone, not on the other queries.
    """
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := parents.setdefault(name, name)) != name:
            parents[name] = parents[above]
            name = parents[name]
        return name

    names = [
        (f"product/{product}" if product else f"cluster/{cluster}", f"cluster/{cluster}")
        for product, cluster in zip(products, clusters, strict=True)
    ]
    for pair in names:
        # The least name stands for all, whatever the order of the queries.
        first, second = sorted(map(root, pair))
        parents[second] = first
    return np.array([_second_half(root(product), seed) for product, _ in names], np.bool_)


def _second_half(name: str, seed: int) -> bool:
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return bool(digest[0] & 1)
