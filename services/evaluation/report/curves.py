"""The numbers behind the charts: histograms, reliability, and what accepting answers would give."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.evaluation.result_files import QueryResults

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]

RELIABILITY_BINS = 10
_MOST_POINTS = 240
_BINS = 40


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bin edges [b + 1], and the share of each outcome's queries in each bin [b], by outcome."""

    edges: tuple[float, ...]
    shares: dict[str, tuple[float, ...]]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Accepting:
    """What accepting the surest answers gives, from few answers to all.

    Parallel: `coverage` the share of queries answered, `precision` the share of those that are
    right, `recall` how many of the queries whose product is in the gallery are answered right.
    """

    coverage: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reliability:
    """By bins of equal size: mean predicted probability, share that was right, queries."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    sizes: tuple[int, ...]


def answered(results: QueryResults) -> Bools:
    """[n] whether something was found, with a score that is a number."""
    found = np.array([bool(each) for each in results.first_image], np.bool_)
    told: Bools = found & np.isfinite(results.score)
    return told


def score_histogram(results: QueryResults) -> Histogram:
    """Of the first product's raw score: right, wrong, and of queries without a product."""
    told = answered(results)
    outcomes = {
        "right": told & results.right & ~results.absent,
        "wrong": told & ~results.right & ~results.absent,
        "absent": told & results.absent,
    }
    scores = results.score[told].astype(np.float64)
    low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    shares = {}
    for name, chosen in outcomes.items():
        counts, _ = np.histogram(results.score[chosen].astype(np.float64), edges)
        shares[name] = tuple((counts / max(1, int(chosen.sum()))).tolist())
    sizes = {name: int(chosen.sum()) for name, chosen in outcomes.items()}
    return Histogram(tuple(edges.tolist()), shares, sizes)


def reliability(results: QueryResults, bins: int = RELIABILITY_BINS) -> Reliability | None:
    """Of the half that calibration was not fitted on; None without probabilities."""
    chosen = results.held_out & np.isfinite(results.probability)
    if not chosen.any():
        return None
    probability, right = results.probability[chosen], results.right[chosen]
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return Reliability(
        tuple(float(probability[part].mean()) for part in parts),
        tuple(float(right[part].mean()) for part in parts),
        tuple(len(part) for part in parts),
    )


def accepting(results: QueryResults) -> Accepting:
    """By descending probability on the held-out half, where there are any; by score otherwise.

    Queries without an answer are never accepted. Equal ones are accepted together.
    """
    chosen = np.ones(len(results), np.bool_)
    sureness: Floats = results.score
    calibrated = results.held_out & np.isfinite(results.probability)
    if calibrated.any():
        chosen, sureness = results.held_out, results.probability
    present = int((chosen & ~results.absent).sum())
    queries = int(chosen.sum())
    chosen = chosen & answered(results) & np.isfinite(sureness)
    values, right = sureness[chosen], results.right[chosen]
    order = np.argsort(-values, kind="stable")
    values, hits = values[order], np.cumsum(right[order])
    ends = np.flatnonzero(np.append(values[1:] != values[:-1], True)) if len(values) else order
    ends = _thinned(ends)
    accepted = ends + 1
    return Accepting(
        tuple((accepted / max(1, queries)).tolist()),
        tuple((hits[ends] / accepted).tolist()),
        tuple((hits[ends] / max(1, present)).tolist()),
    )


def worst_and_best(
    figures: Sequence[dict[str, tuple[float, int]]], each_way: int = 10, least: int = 5
) -> tuple[list[str], int]:
    """Which of the categories (share right, queries) of all models to show, the worst of the first
    model first, and how many there are.

    Where there are too many, those with fewer than `least` queries go first: their shares say
    little.
    """
    first = figures[0] if figures else {}
    names = sorted(first, key=lambda name: (first[name][0], -first[name][1], name))
    if len(names) > 2 * each_way:
        firm = [name for name in names if first[name][1] >= least]
        names_shown = firm if len(firm) >= 2 * each_way else names
        return [*names_shown[:each_way], *names_shown[-each_way:]], len(names)
    return names, len(names)


def _thinned(ends: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    if len(ends) <= _MOST_POINTS:
        return ends
    kept = np.linspace(0, len(ends) - 1, _MOST_POINTS).round().astype(np.intp)
    return ends[np.unique(kept)]
