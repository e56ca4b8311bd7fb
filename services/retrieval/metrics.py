"""What a ranking is worth, query by query.

Average precision within k is the sum of the precisions at the ranks of the relevant results, over
a denominator on which papers disagree; all three are told (core.domain.evaluation.METRICS).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.core.domain.errors import InvalidArgument
from services.retrieval.linear import Float64
from services.retrieval.ranking_keys import Int64

Bool = npt.NDArray[np.bool_]

_CELLS = 4_000_000  # of `relevant` at a time: 32 MB for each float64 of them


def per_query(relevant: Bool, counts: Int64, ks: Sequence[int]) -> dict[str, Float64]:
    """`metric@k` float64 [q], for every metric of core.domain.evaluation.METRICS and k of `ks`.

    `relevant` bool [q, n]: whether the results are relevant, best first; beyond n nothing is found.
    `counts` int64 [q]: all that is relevant to each query, found or not. Every value is from 0 to
    1. Raises InvalidArgument (RELEVANCE_MISMATCH) where the counts are not positive or smaller than
    what was found.
    """
    _check(relevant, counts, ks)
    rows = max(1, _CELLS // max(1, relevant.shape[1]))
    parts = [
        _part(relevant[start : start + rows], counts[start : start + rows], ks)
        for start in range(0, max(1, len(relevant)), rows)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _part(relevant: Bool, counts: Int64, ks: Sequence[int]) -> dict[str, Float64]:
    width = relevant.shape[1]
    found = np.zeros((len(relevant), width + 1), np.int64)  # [:, k]: within k
    np.cumsum(relevant, axis=1, out=found[:, 1:])
    gains = np.zeros((len(relevant), width + 1))
    np.cumsum(found[:, 1:] * relevant / np.arange(1, width + 1), axis=1, out=gains[:, 1:])
    values: dict[str, Float64] = {}
    for k in ks:
        within, gain = found[:, min(k, width)], gains[:, min(k, width)]
        values |= {
            f"map@{k}": gain / np.minimum(counts, k),
            f"map_hits@{k}": gain / np.maximum(within, 1),
            f"map_all@{k}": gain / counts,
            f"mar@{k}": within / counts,
            f"mar_ceiling@{k}": np.minimum(counts, k) / counts,
            f"mp@{k}": within / k,
            f"recall@{k}": (within > 0).astype(np.float64),
        }
    return values


def _check(relevant: Bool, counts: Int64, ks: Sequence[int]) -> None:
    if relevant.ndim != 2 or counts.shape != relevant.shape[:1]:
        raise _mismatch(f"counts {counts.shape} do not fit a ranking {relevant.shape}")
    if not all(k >= 1 for k in ks):
        raise _mismatch(f"ranks {list(ks)} are not all from 1")
    if (counts < 1).any():
        raise _mismatch("queries without anything relevant have no metrics: leave them out")
    if (np.count_nonzero(relevant, axis=1) > counts).any():
        raise _mismatch("more is found to be relevant than there is")


def _mismatch(problem: str) -> InvalidArgument:
    return InvalidArgument.field("relevant", problem, reason="RELEVANCE_MISMATCH")
