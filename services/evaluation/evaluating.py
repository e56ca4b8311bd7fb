"""Searches a dataset by a model and measures the rankings."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import structlog

from services.core.dataset_files import QUERIES, DatasetRow, Place
from services.core.domain.calibration import Calibration
from services.core.domain.errors import InvalidArgument
from services.core.domain.evaluation import Estimate, EvaluationOptions, Metrics
from services.core.domain.model import Model
from services.core.domain.stages import Stages
from services.core.evaluation_messages import EvaluateModel
from services.core.outcomes import ModelEvaluated
from services.core.ports import ObjectStore
from services.evaluation import measuring
from services.evaluation.calibrated import calibrate, calibration_metrics
from services.evaluation.calibrating import check_count
from services.evaluation.classifying import Classifier, check_classifier
from services.evaluation.dataset_gallery import MOST_BYTES, DatasetGallery, read_gallery
from services.evaluation.dataset_reading import ModelVectors, read_page_places, read_pages
from services.evaluation.ranker import Ranker
from services.evaluation.result_files import (
    CHUNK,
    QueryResults,
    join_results,
    read_results_part,
    write_metrics,
    write_results,
    write_results_part,
)
from services.evaluation.splitting import held_out
from services.retrieval.bootstrap import Bootstrap

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Task:
    """What a message asks for, read."""

    message: EvaluateModel
    model: Model
    stages: Stages
    options: EvaluationOptions
    rows: Sequence[DatasetRow]
    places: Sequence[Place]

    def made_from(self, chunk: int) -> str:
        """Equal for attempts whose parts are the same."""
        asked = [
            self.model.digest, self.message.dataset, self.stages.key, self.options.ks,
            self.options.seed, chunk,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


class Evaluator:
    """Measures models. Every call may be repeated, and goes on behind the parts that an earlier
    attempt wrote; the same message gives the same figures."""

    def __init__(
        self, objects: ObjectStore, chunk: int = CHUNK, most_bytes: int = MOST_BYTES
    ) -> None:
        self._objects = objects
        self._chunk = chunk
        self._most_bytes = most_bytes

    def evaluate(self, message: EvaluateModel) -> ModelEvaluated:
        """Returns when the results of all queries and the metrics are stored.

        Holds the vectors of the gallery, the results of all queries, and the vectors of a chunk of
        them. Raises InvalidArgument (NO_QUERIES, GALLERY_TOO_LARGE, CLASSIFIER_TOO_LARGE, and as
        Model, Stages, EvaluationOptions), FailedPrecondition (TOO_FEW_QUERIES, NOTHING_EMBEDDED),
        NotFound or DataLoss for files that are missing or damaged.
        """
        began = time.perf_counter()
        task = self._task(message)
        _check(task)
        vectors = ModelVectors(self._objects, task.model)
        gallery = read_gallery(
            self._objects, message.dataset, message.places, vectors, task.model.embedding_dim,
            self._most_bytes,
        )  # fmt: skip
        if task.options.classifier:
            check_classifier(gallery)
        results = join_results(list(self._parts(task, gallery, vectors)))
        metrics = self._metrics(task, gallery, vectors, results)
        calibration: Calibration | None = None
        if task.options.calibrate:
            results, calibration = calibrate(results, task.options, len(gallery.sha256s))
            metrics = calibration_metrics(metrics, results, calibration, task.options)
            made_from = task.made_from(self._chunk)
            write_results(self._objects, message.results, results, made_from, self._chunk)
        metrics = replace(metrics, seconds=round(time.perf_counter() - began, 3))
        write_metrics(self._objects, message.results, metrics)
        _log.info("model.evaluated", queries=len(results), seconds=metrics.seconds)
        return ModelEvaluated(
            metrics=metrics.to_dict(),
            calibration=calibration.to_dict() if calibration else {},
            failures=tuple(measuring.worst_failures(results, task.options.failures)),
        )

    def _task(self, message: EvaluateModel) -> _Task:
        rows: list[DatasetRow] = []
        places: list[Place] = []
        for number, page in enumerate(read_pages(self._objects, message.dataset, QUERIES)):
            rows += page
            places += read_page_places(self._objects, message.places, QUERIES, number, len(page))
        return _Task(
            message,
            Model.from_json(message.model),
            Stages.from_dict(json.loads(message.stages)),
            EvaluationOptions.from_json(message.options),
            rows,
            places,
        )

    def _chunks(self, task: _Task) -> Iterator[slice]:
        for start in range(0, len(task.rows), self._chunk):
            yield slice(start, start + self._chunk)

    def _parts(
        self, task: _Task, gallery: DatasetGallery, vectors: ModelVectors
    ) -> Iterator[QueryResults]:
        """The results of each chunk, from the object store where they lie there already."""
        ranker = Ranker(
            gallery.vectors, gallery.products, task.model.distance, task.stages, task.options.seed
        )
        made_from = task.made_from(self._chunk)
        for number, some in enumerate(self._chunks(task)):
            kept = read_results_part(self._objects, task.message.results, number, made_from)
            if kept is not None:
                yield kept
                continue
            queries, known = vectors.of(task.places[some])
            rankings = ranker.rank(queries[known], number)
            part = measuring.query_results(
                task.rows[some], known, rankings, gallery, task.options.ks
            )
            write_results_part(self._objects, task.message.results, number, part, made_from)
            yield part

    def _metrics(
        self,
        task: _Task,
        gallery: DatasetGallery,
        vectors: ModelVectors,
        results: QueryResults,
    ) -> Metrics:
        product, image = measuring.estimates(results, task.options)
        classifier = None
        if task.options.classifier:
            classifier = self._accuracy(task, gallery, vectors, results)
        absent = int(results.absent.sum())
        return Metrics(
            queries=len(results) - absent,
            absent=absent,
            gallery_images=len(gallery.sha256s),
            gallery_products=len(gallery.names),
            product=product,
            image=image,
            class_mean=measuring.class_mean(results),
            per_category=measuring.per_category(results),
            classifier=classifier,
        )

    def _accuracy(
        self,
        task: _Task,
        gallery: DatasetGallery,
        vectors: ModelVectors,
        results: QueryResults,
    ) -> Estimate:
        """Of the classifier, over the queries that are not absent; those that could not be embedded
        are wrong."""
        fitted = Classifier(gallery)
        right = np.zeros(len(results))
        codes = gallery.codes(results.product)
        for some in self._chunks(task):
            queries, known = vectors.of(task.places[some])
            found = fitted.products(queries[known])
            right[some][known] = found == codes[some][known]
        present = ~results.absent
        clusters = measuring.cluster_codes(results.cluster)[present]
        options = task.options
        return Bootstrap(clusters, options.resamples, options.confidence, options.seed).estimate(
            right[present]
        )


def _check(task: _Task) -> None:
    """Refuses what cannot be measured before any embedding is read."""
    if all(each.absent for each in task.rows):
        raise InvalidArgument(
            f"the dataset below {task.message.dataset} has no query with a product in the gallery: "
            "make it again",
            reason="NO_QUERIES",
        )
    if task.options.calibrate:
        clusters = [measuring.cluster(each) for each in task.rows]
        products = [each.product for each in task.rows]
        check_count(int((~held_out(products, clusters, task.options.seed)).sum()))
