"""A score and a position as one number that sorts: the nearer the larger, equal scores shuffled.

The upper half of a uint64 is the float32 score, its bits turned so that they order as it does. The
lower half is the position under a permutation of all 32-bit numbers that each query has for itself
(the finaliser of MurmurHash3, Appleby 2011). So no two keys of a query are equal, the order of
equal scores depends on neither position nor label, and a key tells its score and its position.
"""

import numpy as np
import numpy.typing as npt

from services.core.ports import Float32

UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]

_SIGN = np.uint32(1 << 31)
_FIRST, _SECOND = 0x85EBCA6B, 0xC2B2AE35
_MULTIPLY = np.uint32(_FIRST), np.uint32(_SECOND)
_DIVIDE = np.uint32(pow(_FIRST, -1, 1 << 32)), np.uint32(pow(_SECOND, -1, 1 << 32))


def shuffles(queries: int, seed: int) -> UInt32:
    """uint32 [q]: what tells the order of each query's equal scores from that of the others."""
    return np.random.default_rng(seed).integers(1 << 32, size=queries, dtype=np.uint32)


def pack(scores: Float32, positions: Int64, shuffle: UInt32) -> UInt64:
    """Keys of scores (no NaN) and positions (below 2**32), where `shuffle` is of the same query;
    shapes that broadcast. None is 0."""
    bits = (scores + np.float32(0)).view(np.uint32)  # -0 is 0
    ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    mixed = positions.astype(np.uint32) ^ shuffle
    mixed ^= mixed >> 16
    mixed *= _MULTIPLY[0]
    mixed ^= mixed >> 13
    mixed *= _MULTIPLY[1]
    mixed ^= mixed >> 16
    return (ordered.astype(np.uint64) << np.uint64(32)) | mixed


def scores_of(keys: UInt64) -> Float32:
    """float32 of the keys' shape; NaN for 0."""
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    return np.where(ordered & _SIGN, ordered ^ _SIGN, ~ordered).view(np.float32)


def positions_of(keys: UInt64, shuffle: UInt32) -> Int64:
    """int64 of the keys' shape, which `shuffle` broadcasts to."""
    mixed = keys.astype(np.uint32)
    mixed ^= mixed >> 16
    mixed *= _DIVIDE[1]
    mixed ^= (mixed >> 13) ^ (mixed >> 26)
    mixed *= _DIVIDE[0]
    mixed ^= mixed >> 16
    return (mixed ^ shuffle).astype(np.int64)
