"""Intervals by drawing clusters: how often they hold what they should."""

import math
import tracemalloc

import numpy as np
import pytest

from services.core.domain.errors import InvalidArgument
from services.core.domain.evaluation import Estimate
from services.retrieval import bootstrap
from services.retrieval.bootstrap import Bootstrap
from services.retrieval.linear import Float64
from services.retrieval.ranking_keys import Int64

CLUSTERS, TRUTH = 60, 0.6


def simulated(random: np.random.Generator) -> tuple[Int64, Float64]:
    """Queries of 60 products, 1 to 15 each, and a metric that mostly depends on the product."""
    sizes = random.integers(1, 16, size=CLUSTERS)
    clusters = np.repeat(np.arange(CLUSTERS), sizes)
    of_product = random.normal(TRUTH, 0.2, size=CLUSTERS)
    return clusters, of_product[clusters] + random.normal(0.0, 0.05, size=len(clusters))


def holds(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


def test_intervals_over_clusters_hold_the_mean_as_often_as_they_say_and_naive_ones_do_not() -> None:
    random = np.random.default_rng(1)
    held = naive = 0
    for seed in range(300):
        clusters, values = simulated(random)
        held += holds(Bootstrap(clusters, 400, 0.9, seed).estimate(values), TRUTH)
        each = np.arange(len(values))
        naive += holds(Bootstrap(each, 400, 0.9, seed).estimate(values), TRUTH)
    # Three standard deviations of 300 throws are 0.052.
    assert 0.84 <= held / 300 <= 0.95
    assert naive / 300 < 0.6


def test_the_interval_is_that_of_drawing_clusters_one_by_one() -> None:
    clusters, values = simulated(np.random.default_rng(2))
    estimate = Bootstrap(clusters, 4_000, 0.95, 3).estimate(values)
    random = np.random.default_rng(4)
    members = [np.flatnonzero(clusters == each) for each in range(CLUSTERS)]
    means = []
    for _ in range(4_000):
        drawn = random.integers(CLUSTERS, size=CLUSTERS)
        means.append(values[np.concatenate([members[each] for each in drawn])].mean())
    assert estimate.value == pytest.approx(values.mean())
    low, high = np.quantile(means, [0.025, 0.975])
    assert estimate.low == pytest.approx(low, abs=0.01)
    assert estimate.high == pytest.approx(high, abs=0.01)


def test_identical_models_differ_by_nothing() -> None:
    clusters, values = simulated(np.random.default_rng(5))
    values[::7] = np.nan
    difference = Bootstrap(clusters, 500, 0.95, 0).difference(values, values.copy())
    assert difference == Estimate(0.0, 0.0, 0.0)


def test_a_paired_difference_is_far_narrower_than_its_models() -> None:
    random = np.random.default_rng(6)
    clusters, values = simulated(random)
    better = values + 0.02 + random.normal(0.0, 0.01, size=len(values))
    drawn = Bootstrap(clusters, 1_000, 0.95, 0)
    difference, one = drawn.difference(better, values), drawn.estimate(values)
    assert holds(difference, 0.02)
    assert difference.low > 0.0
    assert difference.high - difference.low < (one.high - one.low) / 10


def test_a_difference_is_that_of_the_means_in_the_same_resamples() -> None:
    random = np.random.default_rng(7)
    clusters, values = simulated(random)
    other = random.random(len(values))
    drawn = Bootstrap(clusters, 300, 0.95, 8)
    ones = np.ones(len(values))
    there = drawn._figures(np.stack([drawn._sums(values), drawn._sums(ones)], axis=1))
    here = drawn._figures(np.stack([drawn._sums(other), drawn._sums(ones)], axis=1))
    low, high = np.quantile(there - here, [0.025, 0.975])
    difference = drawn.difference(values, other)
    assert (difference.low, difference.high) == pytest.approx((low, high))


def test_one_cluster_has_an_interval_without_width() -> None:
    estimate = Bootstrap(np.full(9, 4), 100, 0.95, 0).estimate(np.arange(9.0))
    assert estimate == Estimate(4.0, 4.0, 4.0)


def test_a_ratio_holds_the_truth_though_its_denominator_varies() -> None:
    random = np.random.default_rng(9)
    held = 0
    for seed in range(200):
        clusters, _ = simulated(random)
        accepted = random.random(len(clusters)) < random.random(CLUSTERS)[clusters]
        right = accepted & (random.random(len(clusters)) < 0.8)
        drawn = Bootstrap(clusters, 300, 0.95, seed)
        estimate = drawn.ratio(right.astype(np.float64), accepted.astype(np.float64))
        assert estimate.value == pytest.approx(right.sum() / accepted.sum())
        held += holds(estimate, 0.8)
    assert held / 200 >= 0.88


def test_values_that_are_nan_are_left_out() -> None:
    clusters, values = simulated(np.random.default_rng(10))
    kept = np.random.default_rng(11).random(len(values)) < 0.7
    kept[clusters == 3] = False
    estimate = Bootstrap(clusters, 2_000, 0.95, 0).estimate(np.where(kept, values, np.nan))
    without = Bootstrap(clusters[kept], 2_000, 0.95, 0).estimate(values[kept])
    assert estimate.value == pytest.approx(without.value)
    assert (estimate.low, estimate.high) == pytest.approx((without.low, without.high), abs=0.01)


def test_what_is_nan_in_one_model_is_left_out_of_both() -> None:
    clusters = np.arange(4)
    values, baseline = np.array([1.0, np.nan, 3.0, 4.0]), np.array([0.0, 9.0, np.nan, 2.0])
    assert Bootstrap(clusters, 100, 0.95, 0).difference(values, baseline).value == 1.5


def test_of_nothing_there_is_nothing_to_tell() -> None:
    none = np.zeros(0)
    for estimate in (
        Bootstrap(np.zeros(0, np.int64), 100, 0.95, 0).estimate(none),
        Bootstrap(np.arange(3), 100, 0.95, 0).estimate(np.full(3, np.nan)),
        Bootstrap(np.arange(3), 100, 0.95, 0).ratio(np.zeros(3), np.zeros(3)),
    ):
        assert all(map(math.isnan, (estimate.value, estimate.low, estimate.high)))


def test_resamples_without_any_denominator_do_not_count() -> None:
    alone = np.array([1.0, 0.0, 0.0])
    assert Bootstrap(np.arange(3), 200, 0.95, 0).ratio(alone, alone) == Estimate(1.0, 1.0, 1.0)


def test_a_seed_repeats_the_interval_and_another_changes_it() -> None:
    clusters, values = simulated(np.random.default_rng(12))
    first, again, other = (Bootstrap(clusters, 300, 0.95, n).estimate(values) for n in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.value == other.value


def test_resamples_that_are_not_kept_are_drawn_the_same_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap, "_CELLS", 1_000)  # several parts
    clusters, values = simulated(np.random.default_rng(13))
    kept = Bootstrap(clusters, 300, 0.95, 0)
    monkeypatch.setattr(bootstrap, "_KEPT_CELLS", 0)
    anew = Bootstrap(clusters, 300, 0.95, 0)
    assert anew.estimate(values) == kept.estimate(values) == anew.estimate(values)


def test_many_resamples_of_many_clusters_are_never_held_together() -> None:
    clusters = np.arange(50_000)
    tracemalloc.start()
    try:
        Bootstrap(clusters, 6_000, 0.95, 0)  # 300 MB, a byte each
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000


@pytest.mark.parametrize(("first", "second"), [(4, 4), (5, 1), (1, 5)])
def test_values_of_other_queries_are_refused(first: int, second: int) -> None:
    drawn = Bootstrap(np.arange(5), 100, 0.95, 0)
    for ask in (drawn.difference, drawn.ratio):
        with pytest.raises(InvalidArgument) as refused:
            ask(np.zeros(first), np.zeros(second))
        assert refused.value.reason == "VALUES_MISMATCH"
