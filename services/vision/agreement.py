"""Which regions of two pictures agree, by the feature maps that their embeddings are pooled from.

With average pooling the cosine of two embeddings is exactly the mean of a_i . b_j / (|a| |b|) over
all pairs of a place i of one map and a place j of the other, a and b being the maps' means. What a
place adds in all, a_i . b, would be the most faithful picture of the score, but says nothing of
*where* in the other picture its partner is, lights up what is alike to a bit of everything, and
holds for no other pooling. So a place counts by the strongest of its pairs, less what its average
pair has: that is high where something strong in one picture has a partner in the other, and low in
a uniform background, all of whose pairs are the same. Lengths are kept, since CNNs answer weakly to
what tells them nothing, and directions there are noise.
"""

import numpy as np

from services.core.ports import Float32

_ROWS = 512  # of pairs at once: bounds the memory for large maps
_LEAST = 1e-6


def agreement(first: Float32, second: Float32) -> tuple[Float32, Float32]:
    """Heat [ha, wa] and [hb, wb], from 0 to 1, of maps [ha, wa, c] and [hb, wb, c].

    In each map the mean over its places is 0 and the highest is the cosine of the strongest pair of
    both: identical pictures reach 1, strangers stay dim. A map without any contrast is all 0.
    """
    a = first.reshape(-1, first.shape[2])
    b = second.reshape(-1, second.shape[2])
    best_a, best_b, cosine = _strongest(a, b)
    heat_a = _scaled(best_a - a @ b.mean(0)) * cosine
    heat_b = _scaled(best_b - b @ a.mean(0)) * cosine
    return heat_a.reshape(first.shape[:2]), heat_b.reshape(second.shape[:2])


def _strongest(a: Float32, b: Float32) -> tuple[Float32, Float32, np.float32]:
    """The highest product of each row with any of the other's [n], [m], and the cosine of the pair
    with the highest of all, at least 0."""
    best_a = np.empty(len(a), np.float32)
    best_b = np.full(len(b), -np.inf, np.float32)
    for start in range(0, len(a), _ROWS):
        products = a[start : start + _ROWS] @ b.T
        best_a[start : start + _ROWS] = products.max(1)
        np.maximum(best_b, products.max(0), out=best_b)
    one, other = a[best_a.argmax()], b[best_b.argmax()]
    lengths = max(float(np.linalg.norm(one) * np.linalg.norm(other)), _LEAST)
    return best_a, best_b, np.float32(np.clip(best_a.max() / lengths, 0, 1))


def _scaled(values: Float32) -> Float32:
    """0 up to the mean, 1 at the highest."""
    mean, highest = values.mean(), values.max()
    if highest - mean <= _LEAST * max(1.0, float(np.abs(values).max())):
        return np.zeros_like(values)
    scaled: Float32 = np.clip((values - mean) / (highest - mean), 0, 1).astype(np.float32)
    return scaled
