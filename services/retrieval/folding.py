"""Near-duplicate results become one."""

import numpy as np

from services.core.ports import Float32
from services.retrieval.pairwise import check_vectors, unit

# Equal vectors are as alike as can be: rounding must not keep them below a similarity of 1.
_ROUNDING = 1e-9


def fold(vectors: Float32, similarity: float) -> list[int]:
    """For each result of a ranking the position of the result that it is folded into, or its own.

    Greedy, best first: a result is folded into the best one before it that stays and is at least as
    alike as `similarity`; one that stays is never itself folded, and one that was folded takes no
    others.

    Args:
        vectors: [n, d], of the best image of each result, best result first; of any length.
        similarity: cosine, from 0.5 to 1 (domain.stages.Folding).

    Raises ValueError for an array that does not fit.
    """
    check_vectors("vectors", vectors)
    units = unit(vectors)
    alike = units @ units.T >= similarity - _ROUNDING
    staying = np.zeros(len(vectors), bool)
    folded: list[int] = []
    for position in range(len(vectors)):
        into = np.flatnonzero(alike[position, :position] & staying[:position])
        staying[position] = not len(into)
        folded.append(int(into[0]) if len(into) else position)
    return folded
