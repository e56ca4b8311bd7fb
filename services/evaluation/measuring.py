"""From rankings to the results of each query, and from these to the figures of the whole."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.core.dataset_files import DatasetRow
from services.core.domain.evaluation import Estimate, EvaluationOptions
from services.evaluation.dataset_gallery import DatasetGallery
from services.evaluation.ranker import Rankings
from services.evaluation.result_files import QueryResults
from services.retrieval.bootstrap import Bootstrap
from services.retrieval.metrics import per_query

Bools = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def query_results(
    rows: Sequence[DatasetRow],
    known: Bools,
    rankings: Rankings,
    gallery: DatasetGallery,
    ks: Sequence[int],
) -> QueryResults:
    """What was found for each of `rows` [q]. `rankings` are of those that are `known` [q]; the
    others, whose photo could not be embedded, found nothing, which is rank 0."""
    products = [each.product for each in rows]
    codes = gallery.codes(products)
    answers = _spread(rankings.answers, known, -1)
    scores = _spread(rankings.scores, known, np.nan)
    images = _spread(rankings.images, known, -1)
    absent = np.array([each.absent for each in rows], np.bool_)
    relevant = _relevant(answers, gallery, codes)
    rank = np.where(relevant.any(axis=1), relevant.argmax(axis=1) + 1, 0)
    second = scores[:, 1] if scores.shape[1] > 1 else np.full(len(rows), np.nan, np.float32)
    first = answers[:, 0].tolist()
    counts = np.array([gallery.images.get(each, 0) for each in products], np.int64)
    return QueryResults(
        sha256=[each.sha256 for each in rows],
        product=products,
        category=[each.category for each in rows],
        cluster=[cluster(each) for each in rows],
        absent=absent,
        first_image=[gallery.sha256s[at] if at >= 0 else "" for at in first],
        first_product=[gallery.names[gallery.products[at]] if at >= 0 else "" for at in first],
        score=scores[:, 0],
        margin=np.nan_to_num(scores[:, 0] - second, nan=0.0).astype(np.float32),
        probability=np.full(len(rows), np.nan),
        held_out=np.zeros(len(rows), np.bool_),
        right=rank == 1,
        rank=rank.astype(np.int64),
        metrics={
            **_metrics("product", relevant, np.ones_like(counts), ~absent, ks),
            **_metrics("image", _relevant(images, gallery, codes), counts, ~absent, ks),
        },
    )


def _spread(values: npt.NDArray[np.generic], known: Bools, blank: float) -> npt.NDArray:  # type: ignore[type-arg]
    """[q, k] of the rows of `values`, one for each known query; at least one column."""
    spread = np.full((len(known), max(values.shape[1], 1)), blank, values.dtype)
    spread[known, : values.shape[1]] = values
    return spread


def _relevant(found: Int64, gallery: DatasetGallery, codes: Int64) -> Bools:
    """Whether each of `found` [q, k], places in the gallery or -1, shows the query's product."""
    relevant: Bools = (found >= 0) & (gallery.products[found] == codes[:, None])
    return relevant


def _metrics(
    level: str, relevant: Bools, counts: Int64, present: Bools, ks: Sequence[int]
) -> dict[str, Float64]:
    """nan where not `present`."""
    measured = per_query(relevant[present, : max(ks)], counts[present], sorted({1, *ks}))
    metrics = {}
    for name, values in measured.items():
        if int(name.partition("@")[2]) in ks or name == "recall@1":
            metrics[f"{level}/{name}"] = np.full(len(present), np.nan)
            metrics[f"{level}/{name}"][present] = values
    return metrics


def cluster(row: DatasetRow) -> str:
    """What is resampled together with a query."""
    return row.group or row.product or row.sha256


def cluster_codes(clusters: Sequence[str]) -> Int64:
    """int64 [q], equal for equal names."""
    codes: Int64 = np.unique(np.array(clusters, np.str_), return_inverse=True)[1]
    return codes.astype(np.int64)


def estimates(
    results: QueryResults, options: EvaluationOptions
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Of every metric at product and at image level, over the queries that are not absent."""
    present = ~results.absent
    clusters = cluster_codes(results.cluster)[present]
    bootstrap = Bootstrap(clusters, options.resamples, options.confidence, options.seed)
    found: dict[str, dict[str, Estimate]] = {"product": {}, "image": {}}
    for name, values in results.metrics.items():
        level, _, metric = name.partition("/")
        found[level][metric] = bootstrap.estimate(values[present])
    return found["product"], found["image"]


def class_mean(results: QueryResults) -> float:
    """The mean over products of the share of their queries whose first product is right."""
    present = ~results.absent
    products = cluster_codes(results.product)[present]
    _, codes = np.unique(products, return_inverse=True)
    return float((np.bincount(codes, results.right[present]) / np.bincount(codes)).mean())


def per_category(results: QueryResults) -> dict[str, tuple[float, int]]:
    """The share of queries whose first product is right, and their number, by category."""
    found: dict[str, list[bool]] = {}
    rows = zip(results.category, results.right.tolist(), results.absent.tolist(), strict=True)
    for category, right, absent in rows:
        if not absent:
            found.setdefault(category, []).append(right)
    return {name: (sum(each) / len(each), len(each)) for name, each in sorted(found.items())}


def worst_failures(results: QueryResults, most: int) -> list[tuple[str, str]]:
    """(query, wrong first image), sha256s: of those whose product is in the gallery, the most
    confident first, by probability where there is one, else by score."""
    confidence = np.where(np.isnan(results.probability), results.score, results.probability)
    wrong = np.flatnonzero(~results.right & ~results.absent & ~np.isnan(results.score))
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
    return [(results.sha256[at], results.first_image[at]) for at in order]
