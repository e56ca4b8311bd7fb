"""The evaluation worker's messages, one after the other, as an operation sends them."""

from pathlib import Path

import numpy as np

from services.core.adapters.file_objects import FileObjects
from services.core.dataset_files import GALLERY, QUERIES
from services.core.domain.calibration import Calibration
from services.core.domain.evaluation import EvaluationOptions, Metrics
from services.core.evaluation_messages import EvaluateModel, FreezeDataset, ReportEvaluation
from services.core.message_base import Message
from services.core.messages import MESSAGES
from services.evaluation import tasks
from services.evaluation.dataset_reading import read_pages
from services.evaluation.handlers import EvaluationHandlers
from services.retrieval.expansion import augment
from tests.unit.evaluation_world import (
    DATASET,
    RESULTS,
    World,
    clusters,
    draft,
    evaluate_message,
    freeze_message,
)

OPTIONS = EvaluationOptions(ks=(1, 5), resamples=100, calibrate="isotonic", precision=0.7)


def received(message: Message) -> Message:
    """As it comes out of a queue."""
    return type(message).from_json(message.to_json())


def test_the_worker_takes_every_message_of_its_queue(tmp_path: Path) -> None:
    handlers = tasks.handlers(EvaluationHandlers(FileObjects(tmp_path)))
    assert set(handlers) == {each for each in MESSAGES if each.QUEUE in tasks.QUEUES}


def test_a_dataset_is_frozen_measured_and_reported(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    handlers = tasks.handlers(EvaluationHandlers(objects))
    asked, queries, found, gallery = clusters(60, 3, 6, noise=1.0)
    present = [each for each in found if int(each.product[1:]) % 3]  # a third is absent
    vectors = gallery[[int(each.product[1:]) % 3 > 0 for each in found]]
    draft(objects, QUERIES, asked)
    draft(objects, GALLERY, present)
    frozen = handlers[FreezeDataset](received(freeze_message(allow_absent=True)))
    assert (frozen.queries, frozen.absent, frozen.gallery) == (360, 120, 120)

    kept = [each for page in read_pages(objects, DATASET, QUERIES) for each in page]
    world = World(objects, kept, present)
    outcomes, prefixes = [], (RESULTS, "e/1/")
    for prefix, shown in zip(prefixes, (vectors, augment(vectors, 2, 3.0, "cosine")), strict=True):
        model = world.embed(queries, shown)
        message = evaluate_message(model, results=prefix, options=OPTIONS.to_json())
        outcomes.append(handlers[EvaluateModel](received(message)))
    for outcome in outcomes:
        metrics = Metrics.from_dict(outcome.metrics)
        assert metrics.expected_calibration_error is not None
        assert metrics.absent == 120
        assert Calibration.from_dict(outcome.calibration).absent_share > 0.2
        assert len(outcome.failures) == OPTIONS.failures

    report = ReportEvaluation(
        id="report", operation="e", revision=0, title="plain, augmented", dataset=DATASET,
        models=("plain", "augmented"), results=prefixes, report="e/report.html",
        summary="e/summary.json", options=OPTIONS.to_json(),
    )  # fmt: skip
    told = handlers[ReportEvaluation](received(report))
    (difference,) = told.differences
    first, second = (each.metrics["product"]["map@5"]["value"] for each in outcomes)
    np.testing.assert_allclose(difference["metrics"]["map@5"]["value"], second - first)
    assert objects.get("e/report.html").startswith(b"<!")
