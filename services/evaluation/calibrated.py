"""How well a calibration does on the half of the queries that it was not fitted on."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from services.core.domain.calibration import Calibration
from services.core.domain.evaluation import Estimate, EvaluationOptions, Metrics
from services.evaluation.calibrating import accepts, fit_calibration, probabilities
from services.evaluation.measuring import cluster_codes
from services.evaluation.result_files import QueryResults
from services.evaluation.splitting import held_out
from services.retrieval.bootstrap import Bootstrap
from services.retrieval.calibration_error import expected_calibration_error

Int64 = npt.NDArray[np.int64]
_MOST_RESAMPLES = 1_000  # of the calibration error, each of which sorts all queries


def calibrate(
    results: QueryResults, options: EvaluationOptions, gallery_images: int
) -> tuple[QueryResults, Calibration]:
    """Fits to a half of the products, and tells the probabilities of all.

    The calibration that comes back is that of the one half, which the other half judges
    (`calibration_metrics`): fitting it again on both would leave nothing to judge it by. Raises
    FailedPrecondition (TOO_FEW_QUERIES).
    """
    other = held_out(results.product, results.cluster, options.seed)
    calibration = fit_calibration(results.where(~other), options, gallery_images)
    probability = probabilities(calibration, results)
    return replace(results, probability=probability, held_out=other), calibration


def calibration_metrics(
    metrics: Metrics, results: QueryResults, calibration: Calibration, options: EvaluationOptions
) -> Metrics:
    """`metrics` with those of the calibration, over the queries that are held out. What cannot be
    told, such as the precision where nothing is accepted, stays None."""
    half = results.where(results.held_out)
    if not len(half):
        return metrics
    accepted = accepts(calibration, half.probability).astype(np.float64)
    clusters = cluster_codes(half.cluster)
    bootstrap = Bootstrap(clusters, options.resamples, options.confidence, options.seed)
    absent = Bootstrap(clusters[half.absent], options.resamples, options.confidence, options.seed)
    return replace(
        metrics,
        expected_calibration_error=_calibration_error(half, options),
        coverage=bootstrap.estimate(accepted),
        accepted_precision=(
            bootstrap.ratio(accepted * half.right, accepted) if accepted.any() else None
        ),
        absent_accepted=absent.estimate(accepted[half.absent]) if half.absent.any() else None,
    )


def _calibration_error(half: QueryResults, options: EvaluationOptions) -> Estimate | None:
    """With the percentiles over resampled clusters, less what they are too high by: chance alone
    makes an error, a resample has that of the answers and its own on top (Efron and Tibshirani
    1993, "An introduction to the bootstrap", section 10.2)."""
    told = half.where(~np.isnan(half.probability))
    if not len(told):
        return None
    value = expected_calibration_error(told.probability, told.right)
    _, codes, counts = np.unique(
        cluster_codes(told.cluster), return_inverse=True, return_counts=True
    )
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    random = np.random.default_rng(options.seed)
    errors = []
    for _ in range(min(options.resamples, _MOST_RESAMPLES)):
        drawn = random.integers(len(members), size=len(members))
        rows = np.concatenate([members[each] for each in drawn])
        errors.append(expected_calibration_error(told.probability[rows], told.right[rows]))
    tail = (1 - options.confidence) / 2
    low, high = np.quantile(errors, [tail, 1 - tail]) - (np.mean(errors) - value)
    return Estimate(value, max(0.0, float(low)), float(high))
