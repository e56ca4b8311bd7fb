"""Intervals of figures over queries that come in clusters, such as the photos of one product.

The cluster bootstrap: whole clusters are drawn with replacement, as many as there are (Davison and
Hinkley 1997, "Bootstrap Methods and their Application", section 3.8), and the percentiles of the
figure over the resamples bound the interval. Queries drawn one by one would hide that those of one
product rise and fall together, and the interval would be too narrow.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from services.core.domain.errors import InvalidArgument
from services.core.domain.evaluation import Estimate
from services.retrieval.linear import Float64
from services.retrieval.ranking_keys import Int64

_CELLS = 2_000_000  # of resamples x clusters at a time, 16 MB each for draws and weights
_KEPT_CELLS = 256_000_000  # a byte each; more are drawn anew for every estimate


class Bootstrap:
    """Resamples of the clusters of `clusters` int64 [q], the same ones for every estimate.

    `confidence` is the intervals' share of the resamples, such as 0.95. Holds 256 MB at most,
    whatever is asked. Raises InvalidArgument (VALUES_MISMATCH) for values that are not [q].
    """

    def __init__(self, clusters: Int64, resamples: int, confidence: float, seed: int) -> None:
        self._resamples = resamples
        self._bounds = (0.5 - confidence / 2, 0.5 + confidence / 2)
        self._seed = seed
        names, self._cluster = np.unique(clusters, return_inverse=True)
        self._count = len(names)
        self._kept: list[npt.NDArray[np.uint8]] | None = None
        if 0 < resamples * self._count <= _KEPT_CELLS:
            self._kept = list(self._drawn())

    def estimate(self, values: Float64) -> Estimate:
        """The mean of `values` [q]. NaNs are left out; without any other all is NaN."""
        return self.ratio(values, np.ones(len(values)))

    def difference(self, values: Float64, baseline_values: Float64) -> Estimate:
        """The mean of `values` less that of `baseline_values`, both [q], of the same queries. What
        is NaN in one is left out of both."""
        self._check(values, baseline_values)
        return self.estimate(values - baseline_values)

    def ratio(self, numerators: Float64, denominators: Float64) -> Estimate:
        """Sum of `numerators` over sum of `denominators` (both [q], denominators not negative),
        such as right answers over accepted ones. What is NaN in one is left out of both; resamples
        whose denominators are all 0 do not count."""
        self._check(numerators, denominators)
        valid = ~(np.isnan(numerators) | np.isnan(denominators))
        above = self._sums(np.where(valid, numerators, 0.0))
        below = self._sums(np.where(valid, denominators, 0.0))
        if not below.sum() > 0:
            return Estimate(np.nan, np.nan, np.nan)
        figures = self._figures(np.stack([above, below], axis=1))
        low, high = np.quantile(figures, self._bounds).tolist()
        return Estimate(float(above.sum() / below.sum()), low, high)

    def _sums(self, values: Float64) -> Float64:
        """float64 [clusters]."""
        return np.bincount(self._cluster, values, minlength=self._count).astype(np.float64)

    def _figures(self, sums: Float64) -> Float64:
        """The ratio in every resample that has one, of cluster sums [clusters, 2]."""
        drawn = self._drawn() if self._kept is None else self._kept
        totals = np.concatenate([weights.astype(np.float64) @ sums for weights in drawn])
        totals = totals[totals[:, 1] > 0]
        ratios: Float64 = totals[:, 0] / totals[:, 1]
        return ratios

    def _drawn(self) -> Iterator[npt.NDArray[np.uint8]]:
        """How often each resample holds each cluster, uint8 [some, clusters] at a time. A cluster
        that is drawn over 255 times needs as many clusters, and luck beyond belief."""
        rows = max(1, _CELLS // self._count)
        for start in range(0, self._resamples, rows):
            size = min(rows, self._resamples - start)
            random = np.random.default_rng([self._seed, start])
            draws = random.integers(self._count, size=(size, self._count))
            draws += np.arange(size)[:, None] * self._count
            weights = np.bincount(draws.ravel(), minlength=size * self._count)
            yield weights.astype(np.uint8).reshape(size, self._count)

    def _check(self, *arrays: Float64) -> None:
        for each in arrays:
            if each.shape != self._cluster.shape:
                raise InvalidArgument.field(
                    "values",
                    f"{each.shape} do not fit clusters {self._cluster.shape}",
                    reason="VALUES_MISMATCH",
                )
