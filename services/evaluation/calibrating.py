"""Fits from score and margin to the probability that the first product is the right one.

Platt 1999, "Probabilistic outputs for support vector machines", with two inputs; Zadrozny and Elkan
2002, "Transforming classifier scores into accurate multiclass probability estimates", for the
isotonic function of its output.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from services.core.domain.calibration import Calibration
from services.core.domain.errors import FailedPrecondition
from services.core.domain.evaluation import EvaluationOptions
from services.evaluation.result_files import QueryResults

Bools = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]
FEWEST_QUERIES, FEWEST_OF_A_KIND = 50, 10
NEVER = 2.0  # a threshold that no probability reaches
# One-sided 90% bound: answers that are accepted by luck must not set the threshold.
_QUANTILE = 1.2816
# Of standardised inputs: next to no regularisation, and weights of separable answers stay finite.
_INVERSE_REGULARISATION = 1e4


def check_count(queries: int) -> None:
    """Raises FailedPrecondition (TOO_FEW_QUERIES) where so many are in the calibration half."""
    if queries < FEWEST_QUERIES:
        raise _too_few(f"{queries} queries are in the half that calibrates, of {FEWEST_QUERIES}")


def fit_calibration(
    results: QueryResults, options: EvaluationOptions, gallery_images: int
) -> Calibration:
    """Fitted on all of `results`, which is the calibration half; queries that found nothing count
    as refused.

    The threshold is the least probability for which the share of right answers among those accepted
    is at least `options.precision`, with a confidence of 90% (the bound of Wilson 1927, one-sided):
    the plain share would be met by luck where few answers are accepted. The bound takes queries for
    independent, which photos of one product are not quite. The threshold is over 1 where no
    probability reaches that. Raises FailedPrecondition (TOO_FEW_QUERIES).
    """
    found = ~np.isnan(results.score)
    inputs = np.stack([results.score, results.margin], axis=1).astype(np.float64)[found]
    right = results.right[found]
    check_count(len(right))
    kinds = int(right.sum()), int((~right).sum())
    if min(kinds) < FEWEST_OF_A_KIND:
        raise _too_few(
            f"{kinds[0]} of them are right and {kinds[1]} wrong, of {FEWEST_OF_A_KIND} each"
        )
    calibration = _platt(inputs, right, options)
    if options.calibrate == "isotonic":
        calibration = _isotonic(calibration, inputs, right)
    probability = probabilities(calibration, results)
    calibration = replace(
        calibration,
        threshold=_threshold(probability[found], right, options.precision),
        queries=len(results),
        gallery_images=gallery_images,
        absent_share=float(results.absent.mean()),
    )
    accepted = accepts(calibration, probability)
    return replace(calibration, accepted_share=float(accepted.mean()))


def probabilities(calibration: Calibration, results: QueryResults) -> Float64:
    """float64 [q], as a search tells them; nan for queries that found nothing."""
    pairs = zip(results.score.tolist(), results.margin.tolist(), strict=True)
    listed = [
        math.nan if math.isnan(score) else calibration.probability(score, margin)
        for score, margin in pairs
    ]
    return np.array(listed, np.float64)


def accepts(calibration: Calibration, probability: Float64) -> Bools:
    """[q]: which of the probabilities are accepted; nan is not."""
    return np.array([calibration.accepts(each) for each in probability.tolist()], np.bool_)


def _platt(inputs: Float64, right: Bools, options: EvaluationOptions) -> Calibration:
    from sklearn.linear_model import LogisticRegression  # takes seconds, which a start has not

    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    spread[spread < np.finfo(np.float32).eps] = 1.0
    logistic = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=1_000)
    logistic.fit((inputs - mean) / spread, right)
    weights = logistic.coef_[0] / spread
    return Calibration(
        method=options.calibrate,
        intercept=float(logistic.intercept_[0] - weights @ mean),
        score_weight=float(weights[0]),
        margin_weight=float(weights[1]),
        knots=(),
        threshold=NEVER,
        precision=options.precision,
        queries=0,
        gallery_images=0,
        absent_share=0.0,
        accepted_share=0.0,
    )


def _isotonic(platt: Calibration, inputs: Float64, right: Bools) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    raw = [platt.probability(score, margin) for score, margin in inputs.tolist()]
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    isotonic.fit(raw, right.astype(np.float64))
    knots = zip(isotonic.X_thresholds_.tolist(), isotonic.y_thresholds_.tolist(), strict=True)
    return replace(platt, knots=tuple(knots))


def _threshold(probability: Float64, right: Bools, precision: float) -> float:
    order = np.argsort(-probability, kind="stable")
    ordered = probability[order]
    accepted = np.arange(1, len(order) + 1)
    share = np.cumsum(right[order]) / accepted
    enough = _lower_bound(share, accepted) >= precision
    # Equal probabilities are accepted together.
    enough &= np.append(ordered[1:] < ordered[:-1], True)
    reached = np.flatnonzero(enough)
    return float(ordered[reached[-1]]) if len(reached) else NEVER


def _lower_bound(share: Float64, count: npt.NDArray[np.int64]) -> Float64:
    """Of a share of `count` (Wilson 1927, "Probable inference")."""
    squared = _QUANTILE**2
    middle = share + squared / (2 * count)
    reach = _QUANTILE * np.sqrt(share * (1 - share) / count + squared / (4 * count**2))
    bound: Float64 = (middle - reach) / (1 + squared / count)
    return bound


def _too_few(why: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"calibration: {why} needed. Add queries to the dataset, also such whose product is not in "
        "the gallery, or evaluate without calibration",
        reason="TOO_FEW_QUERIES",
    )
