"""Results of an evaluation as the worker leaves them, for reports: drawn, not measured."""

import hashlib
import io
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from services.core.dataset_files import GALLERY, QUERIES, DatasetRow, write_rows
from services.core.domain import keys
from services.core.domain.evaluation import EvaluationOptions, Metrics
from services.core.evaluation_messages import ReportEvaluation
from services.core.ports import ObjectStore
from services.evaluation.measuring import class_mean, estimates, per_category
from services.evaluation.result_files import QueryResults, write_metrics, write_results

DATASET = keys.dataset_prefix("held-out", "b1")
EVALUATION = "compare-1"
OPTIONS = EvaluationOptions(ks=(1, 5), resamples=200, failures=3)


@cache
def photo(name: str) -> bytes:
    """A JPEG, another one for every name."""
    sink = io.BytesIO()
    Image.new("RGB", (60, 40), (90, 160, 40)).save(sink, "JPEG", comment=name)
    return sink.getvalue()


def sha256_of(name: str) -> str:
    return hashlib.sha256(photo(name)).hexdigest()


def png(size: tuple[int, int] = (80, 40)) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(sink, "PNG")
    return sink.getvalue()


def results(
    queries: int = 60,
    *,
    accuracy: float = 0.7,
    calibrated: bool = False,
    absent: float = 0.2,
    seed: int = 0,
    options: EvaluationOptions = OPTIONS,
    products: int = 12,
    categories: int = 4,
) -> QueryResults:
    """Two models with the same `queries` are about the same ones: only what they found differs."""
    same = np.random.default_rng(7)
    product = same.integers(products, size=queries)
    gone = same.random(queries) < absent
    hardness = same.random(queries)
    rng = np.random.default_rng(seed)
    right = ~gone & (0.7 * hardness + 0.3 * rng.random(queries) < accuracy)
    rank = np.where(right, 1, np.where(gone, 0, rng.geometric(0.25, queries) + 1))
    raised = 0.1 * right - 0.08 * gone
    score = (0.62 + raised + 0.07 * rng.standard_normal(queries)).clip(-1, 1).astype(np.float32)
    margin = np.abs(0.05 * rng.standard_normal(queries) + 0.1 * right).astype(np.float32)
    sure = 1 / (1 + np.exp(-(30 * (score - 0.66) + 12 * margin)))
    wrong = (product + 1 + rng.integers(products - 1, size=queries)) % products
    first = np.where(right, product, wrong)
    metrics = {}
    for level, found in (("product", rank), ("image", rank + rng.integers(2, size=queries))):
        for k in options.ks:
            within = (found >= 1) & (found <= k)
            values = {
                "map": within / np.maximum(found, 1),
                "mar": within * 1.0,
                "mar_ceiling": np.ones(queries),
                "mp": within / k,
                "recall": within * 1.0,
            }
            for name, each in values.items():
                metrics[f"{level}/{name}@{k}"] = np.where(gone, np.nan, each)
    return QueryResults(
        sha256=[sha256_of(f"query-{number}") for number in range(queries)],
        product=[f"product-{each}" for each in product],
        category=[f"category {each % categories}" for each in product],
        cluster=[f"product-{each}" for each in product],
        absent=gone,
        first_image=[sha256_of(f"gallery-{each}") for each in first],
        first_product=[f"product-{each}" for each in first],
        score=score,
        margin=margin,
        probability=sure if calibrated else np.full(queries, np.nan),
        held_out=(product % 2 == 0) & calibrated,
        right=right,
        rank=rank.astype(np.int64),
        metrics=metrics,
    )


def metrics_of(found: QueryResults, options: EvaluationOptions = OPTIONS) -> Metrics:
    product, image = estimates(found, options)
    return Metrics(
        queries=int((~found.absent).sum()),
        absent=int(found.absent.sum()),
        gallery_images=480,
        gallery_products=len(set(found.product)),
        product=product,
        image=image,
        class_mean=class_mean(found),
        per_category=per_category(found),
        seconds=12.5,
    )


@dataclass
class ReportWorld:
    """An object store with a dataset, and what was measured of some models."""

    objects: ObjectStore
    prefixes: tuple[str, ...] = ()

    def add(
        self,
        found: QueryResults,
        options: EvaluationOptions = OPTIONS,
        **figures: Any,  # of Metrics, instead of the measured ones
    ) -> None:
        prefix = keys.results_prefix(EVALUATION, len(self.prefixes))
        self.prefixes += (prefix,)
        write_results(self.objects, prefix, found)
        write_metrics(self.objects, prefix, replace(metrics_of(found, options), **figures))

    def dataset(self, products: int = 12, title: str = "Title", sku: str = "SKU") -> None:
        """A query and an image in the gallery of every product."""
        for role in (QUERIES, GALLERY):
            rows = [
                DatasetRow(
                    sha256_of(f"{role}-{number}"),
                    f"product-{number}",
                    f"{sku}-{number}",
                    f"{title} {number}",
                )
                for number in range(products)
            ]
            self.objects.put(keys.page_key(DATASET, role, 0), write_rows(rows))

    def photos(self, queries: int = 60, products: int = 12) -> None:
        """Bytes of all queries and all of the gallery."""
        names = [f"query-{number}" for number in range(queries)]
        names += [f"gallery-{number}" for number in range(products)]
        for each in names:
            self.objects.put(keys.image_key(sha256_of(each)), photo(each))

    def message(self, **changes: Any) -> ReportEvaluation:
        values: dict[str, Any] = {
            "title": "Two models",
            "dataset": DATASET,
            "models": tuple(f"model-{number}" for number in range(len(self.prefixes))),
            "results": self.prefixes,
            "report": f"{keys.evaluation_prefix(EVALUATION)}report.html",
            "summary": f"{keys.evaluation_prefix(EVALUATION)}summary.json",
            "options": OPTIONS.to_json(),
        }
        return ReportEvaluation(id="report", operation="op", revision=0, **(values | changes))
