"""Calibrations fitted to answers whose probabilities are known."""

from dataclasses import replace

import numpy as np
import pytest

from services.core.domain.calibration import Calibration
from services.core.domain.errors import FailedPrecondition
from services.core.domain.evaluation import Estimate, EvaluationOptions, Metrics
from services.evaluation.calibrated import calibrate, calibration_metrics
from services.evaluation.calibrating import Float64, accepts, fit_calibration, probabilities
from services.evaluation.result_files import QueryResults
from services.evaluation.splitting import held_out
from services.retrieval.calibration_error import expected_calibration_error
from tests.unit.test_evaluation_results import some_results

OPTIONS = EvaluationOptions(calibrate="platt", resamples=200)


def answers(count: int, *, seed: int = 0, steps: bool = False) -> tuple[QueryResults, Float64]:
    """Results whose right answers are drawn with known probabilities: a logistic function of score
    and margin, or with `steps` one that no logistic function is near. Four photos a product."""
    random = np.random.default_rng(seed)
    score, margin = random.uniform(0.3, 1.0, count), random.exponential(0.1, count)
    logit = -9.0 + 12.0 * score + 15.0 * margin
    known = 1 / (1 + np.exp(-logit))
    if steps:
        known = np.where(known < 0.5, 0.2, np.where(known < 0.9, 0.6, 0.99))
    right = random.random(count) < known
    absent = ~right & (random.random(count) < 0.5)
    products = [f"p{n // 4}" for n in range(count)]
    return replace(
        some_results(count),
        product=products,
        cluster=products,
        absent=absent,
        score=score.astype(np.float32),
        margin=margin.astype(np.float32),
        probability=np.full(count, np.nan),
        right=right,
        held_out=np.zeros(count, np.bool_),
    ), known


def none_yet(results: QueryResults) -> Metrics:
    return Metrics(
        queries=len(results), absent=int(results.absent.sum()), gallery_images=9,
        gallery_products=9, product={}, image={}, class_mean=0.0, per_category={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "steps"), [("platt", False), ("isotonic", False), ("isotonic", True)]
)
def test_probabilities_come_true_on_the_other_half(method: str, steps: bool) -> None:
    options = replace(OPTIONS, calibrate=method)
    results, known = answers(10_000, steps=steps)
    told, calibration = calibrate(results, options, gallery_images=77)
    metrics = calibration_metrics(none_yet(told), told, calibration, options)
    error = metrics.expected_calibration_error
    assert error is not None
    assert error.value < 0.025
    assert 0 <= error.low <= error.value <= error.high < 0.05
    assert np.abs(told.probability - known).mean() < 0.04
    assert calibration.method == method
    assert bool(calibration.knots) == (method == "isotonic")
    assert calibration.gallery_images == 77
    assert calibration.queries == int((~told.held_out).sum())
    assert calibration.absent_share == pytest.approx(told.absent[~told.held_out].mean())


def test_a_logistic_function_is_found_again() -> None:
    results, _ = answers(40_000)
    fitted = fit_calibration(results, OPTIONS, 1)
    found = (fitted.intercept, fitted.score_weight, fitted.margin_weight)
    np.testing.assert_allclose(found, (-9, 12, 15), rtol=0.06)


def test_steps_are_told_better_by_an_isotonic_function() -> None:
    results, _ = answers(10_000, steps=True)
    errors = {}
    for method in ("platt", "isotonic"):
        fitted = fit_calibration(results, replace(OPTIONS, calibrate=method), 1)
        fresh, _ = answers(10_000, seed=1, steps=True)
        errors[method] = expected_calibration_error(probabilities(fitted, fresh), fresh.right)
    assert errors["isotonic"] < 0.6 * errors["platt"]


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize("precision", [0.9, 0.95])
def test_answers_that_are_accepted_are_right_as_often_as_asked(
    method: str, precision: float
) -> None:
    kept, shares = 0, []
    for seed in range(20):
        results, _ = answers(2_000, seed=seed)
        options = replace(OPTIONS, calibrate=method, precision=precision)
        fitted = fit_calibration(results, options, 1)
        fresh, known = answers(4_000, seed=100 + seed)
        accepted = accepts(fitted, probabilities(fitted, fresh))
        kept += bool(known[accepted].mean() >= precision)
        best_first = np.cumsum(-np.sort(-known)) / np.arange(1, 4_001)
        shares.append(accepted.mean() / (best_first >= precision).mean())
    assert kept >= 15
    assert np.mean(shares) > 0.75  # of what could be accepted if all were known


def test_what_the_threshold_accepts_is_told_of_the_half_that_was_not_fitted() -> None:
    results, _ = answers(8_000)
    told, calibration = calibrate(results, OPTIONS, 1)
    other = told.where(told.held_out)
    accepted = accepts(calibration, other.probability)
    metrics = calibration_metrics(none_yet(told), told, calibration, OPTIONS)
    assert isinstance(metrics.coverage, Estimate)
    assert metrics.coverage.value == pytest.approx(accepted.mean())
    assert metrics.coverage.low < metrics.coverage.value < metrics.coverage.high
    assert metrics.accepted_precision is not None
    assert metrics.accepted_precision.value == pytest.approx(other.right[accepted].mean())
    assert metrics.absent_accepted is not None
    assert metrics.absent_accepted.value == pytest.approx(accepted[other.absent].mean())
    fitted_on = told.where(~told.held_out)
    assert calibration.accepted_share == pytest.approx(
        accepts(calibration, fitted_on.probability).mean()
    )
    assert Calibration.from_dict(calibration.to_dict()) == calibration


def test_a_precision_that_cannot_be_reached_accepts_nothing() -> None:
    results, _ = answers(2_000)
    random = np.random.default_rng(1)
    results = replace(results, right=random.random(2_000) < 0.5)
    told, calibration = calibrate(results, OPTIONS, 1)
    assert calibration.threshold > 1
    assert calibration.accepted_share == 0
    metrics = calibration_metrics(none_yet(told), told, calibration, OPTIONS)
    assert metrics.accepted_precision is None
    assert metrics.coverage == Estimate(0.0, 0.0, 0.0)


def test_queries_that_found_nothing_are_never_accepted() -> None:
    results, _ = answers(2_000)
    blank = np.arange(2_000) % 10 == 0
    results = replace(
        results,
        score=np.where(blank, np.float32(np.nan), results.score),
        right=results.right & ~blank,
    )
    told, calibration = calibrate(results, OPTIONS, 1)
    assert np.isnan(told.probability).tolist() == blank.tolist()
    assert not accepts(calibration, told.probability)[blank].any()


@pytest.mark.parametrize(
    ("count", "right", "named"), [(40, 20, "40 queries"), (60, 55, "5 wrong"), (60, 4, "4 of them")]
)
def test_too_few_queries_are_refused_by_name(count: int, right: int, named: str) -> None:
    results, _ = answers(count)
    results = replace(results, right=np.arange(count) < right)
    with pytest.raises(FailedPrecondition) as refused:
        fit_calibration(results, OPTIONS, 1)
    assert refused.value.reason == "TOO_FEW_QUERIES"
    assert named in refused.value.message
    assert "Add queries" in refused.value.message


def test_the_halves_share_neither_a_product_nor_a_group() -> None:
    random = np.random.default_rng(0)
    products = [f"p{n}" for n in random.integers(0, 300, 2_000)]
    groups = [f"g{n}" for n in random.integers(0, 5_000, 2_000)]
    clusters = [group if n % 20 == 0 else products[n] for n, group in enumerate(groups)]
    clusters[:2] = ["g-same", "g-same"]
    other = held_out(products, clusters, 0)
    assert 0.3 < other.mean() < 0.7
    for names in (products, clusters):
        sides: dict[str, set[bool]] = {}
        for name, side in zip(names, other.tolist(), strict=True):
            sides.setdefault(name, set()).add(side)
        assert all(len(each) == 1 for each in sides.values())
    order = random.permutation(2_000)
    again = held_out([products[n] for n in order], [clusters[n] for n in order], 0)
    assert again.tolist() == other[order].tolist()
    assert held_out(products, clusters, 1).tolist() != other.tolist()
