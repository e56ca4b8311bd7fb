"""Paired differences between models on the same queries."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from services.core.domain.errors import DataLoss
from services.core.domain.evaluation import METRICS, Difference, EvaluationOptions
from services.evaluation.measuring import cluster_codes
from services.evaluation.result_files import QueryResults
from services.retrieval.bootstrap import Bootstrap

Float64 = npt.NDArray[np.float64]

_LEVEL = "product/"


class Comparison:
    """Compares models with the first one, whose figures and clusters it keeps.

    Resamples whole clusters, the same ones for every model and metric. Queries without a relevant
    image have no figures and do not count.
    """

    def __init__(self, baseline: QueryResults, options: EvaluationOptions) -> None:
        counted = ~baseline.absent
        self._sha256s = _names(baseline.sha256, counted)
        self._figures = _figures(baseline, counted)
        clusters = cluster_codes(_names(baseline.cluster, counted))
        self._bootstrap = Bootstrap(clusters, options.resamples, options.confidence, options.seed)

    def with_model(self, number: int, results: QueryResults) -> Difference:
        """How much better the model at place `number` is, by product-level metric.

        Metrics that only one of them has, or that are no numbers, are left out. Raises DataLoss
        (RESULTS_DIFFER) for results of other queries.
        """
        counted = ~results.absent
        if _names(results.sha256, counted) != self._sha256s:
            raise DataLoss(
                f"the results of model {number} are not of the queries of the first one: evaluate "
                "both again",
                reason="RESULTS_DIFFER",
            )
        found = {}
        for name, values in _figures(results, counted).items():
            if len(values) and name in self._figures:
                estimate = self._bootstrap.difference(values, self._figures[name])
                if math.isfinite(estimate.value):
                    found[name] = estimate
        return Difference(0, number, found)


def by_rank(names: Iterable[str]) -> list[str]:
    """Metrics such as "map@10" in the order of METRICS, others last, and then by rank."""
    order = {name: place for place, name in enumerate(METRICS)}
    return sorted(
        names, key=lambda name: (order.get(name.partition("@")[0], len(order)), rank_of(name), name)
    )


def rank_of(name: str) -> int:
    """The k of a metric such as "map@10", 0 for one that has none."""
    rank = name.partition("@")[2]
    return int(rank) if rank.isdecimal() else 0


def _names(listed: Sequence[str], counted: npt.NDArray[np.bool_]) -> list[str]:
    return [name for name, counts in zip(listed, counted, strict=True) if counts]


def _figures(results: QueryResults, counted: npt.NDArray[np.bool_]) -> Mapping[str, Float64]:
    """[queries that count] of each product-level metric."""
    return {
        name.removeprefix(_LEVEL): values[counted]
        for name, values in results.metrics.items()
        if name.startswith(_LEVEL)
    }
