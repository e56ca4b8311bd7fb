"""How far stated probabilities are from how often they come true.

The expected calibration error of Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated
probabilities using Bayesian binning", over bins that hold equally many answers.
"""

import numpy as np

from services.retrieval.linear import Float64
from services.retrieval.metrics import Bool


def expected_calibration_error(probabilities: Float64, right: Bool, bins: int = 10) -> float:
    """From 0 to 1: the mean over bins of |mean probability - share that is right|, each weighted by
    what it holds. `probabilities` float64 [n] in [0, 1] and `right` bool [n]; NaN when n is 0.

    Bins are cut by rank and differ by one answer at most; fewer answers than bins have one each.
    Answers of equal probability count with their common share of right ones, so that it does not
    matter which of them a cut leaves on which side.
    """
    if not len(probabilities):
        return float("nan")
    order = np.argsort(probabilities, kind="stable")
    ascending = probabilities[order]
    _, group, size = np.unique(ascending, return_inverse=True, return_counts=True)
    shares = (np.bincount(group, right[order]) / size)[group]
    gaps = ascending - shares
    return float(sum(abs(part.sum()) for part in np.array_split(gaps, bins)) / len(gaps))
