"""What tests of datasets and evaluations do to an import world.

Rows, pages and embeddings are those of production, and so is the freezing. "Measuring" checks that
it was given what it needs, and answers as the test says.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from services.core.dataset_files import GALLERY, QUERIES, DatasetRow
from services.core.domain import keys, names
from services.core.domain.errors import InvalidArgument
from services.core.domain.evaluation import Difference, Estimate, EvaluationOptions, Metrics
from services.core.domain.evaluation_requests import dataset_request, evaluation_request
from services.core.domain.model import Member, Model
from services.core.domain.operations import OperationKind, OperationState
from services.core.evaluation_messages import (
    EvaluateModel,
    ExplainPairs,
    FreezeDataset,
    ReportEvaluation,
)
from services.core.evaluation_ports import Dataset, EvaluatedModel, Evaluation
from services.core.outcomes import EvaluationReported, ModelEvaluated, PairsExplained
from services.core.ports import VectorStore
from services.evaluation.dataset_reading import ModelVectors, read_page_places, read_pages
from services.evaluation.freezing import Freezer
from services.evaluation.handlers import EvaluationHandlers
from tests.integration.deploy_world import register
from tests.integration.import_world import BASE, World, row, spec_of

OTHER = Model.plain(spec_of("other"))
DUO = Model((Member(BASE), Member(OTHER.members[0].embedder)))
_MARGIN = 0.02  # of every interval
CALIBRATION = {
    "method": "platt",
    "intercept": 0.0,
    "score_weight": 1.0,
    "margin_weight": 1.0,
    "knots": [],
    "threshold": 0.5,
    "precision": 0.95,
    "queries": 3,
    "gallery_images": 9,
    "absent_share": 0.0,
    "accepted_share": 1.0,
}


class EvaluationWorld(World):
    """A model reaches `quality` (by digest; 0.5 unless said), and its first query is a failure."""

    def __init__(
        self, root: Path, vectors: VectorStore, seed: int = 0, long_lease: float = 60.0
    ) -> None:
        super().__init__(root, vectors, seed)
        self.quality: dict[str, float] = {}
        self.unseen: dict[str, set[str]] = {}  # model -> images without an embedding when measured
        self.explained: list[tuple[str, str]] = []
        self.failing: dict[type, str] = {}  # kind of message -> reason
        self._limits = replace(
            self._limits, listed_products=3, listed_pages=2, long_lease=long_lease
        )
        self._workers |= {
            FreezeDataset: Freezer(self.objects).freeze,
            EvaluateModel: self._measure,
            ExplainPairs: self._explain,
            ReportEvaluation: self._report,
        }
        self.start_coordinator()

    def measure_for_real(self) -> None:
        """From now on by the evaluation worker, pictures apart."""
        real = EvaluationHandlers(self.objects)
        self._workers[EvaluateModel] = real.evaluator.evaluate
        self._workers[ReportEvaluation] = real.reporter.report

    def _measure(self, message: EvaluateModel) -> ModelEvaluated:
        self._check(message)
        model = Model.from_json(message.model)
        vectors = ModelVectors(self.objects, model)
        unseen = self.unseen[model.digest] = set()
        counts = {}
        for role in (QUERIES, GALLERY):
            pages = list(read_pages(self.objects, message.dataset, role))
            counts[role] = sum(map(len, pages))
            for number, rows in enumerate(pages):
                places = read_page_places(self.objects, message.places, role, number, len(rows))
                found, known = vectors.of(places)
                unseen |= {each.sha256 for each, seen in zip(rows, known, strict=True) if not seen}
                for each, vector, seen in zip(rows, found, known, strict=True):
                    if seen:
                        expected = self.composed(model, each.sha256)
                        np.testing.assert_allclose(vector, expected, atol=1e-5)
        metrics = _metrics(self.quality.get(model.digest, 0.5), counts, message.options)
        self.objects.put(f"{message.results}metrics.json", json.dumps(metrics).encode())
        query = next(iter(read_pages(self.objects, message.dataset, QUERIES)))[0]
        image = next(iter(read_pages(self.objects, message.dataset, GALLERY)))[0]
        pairs = ((query.sha256, image.sha256),)
        asked = EvaluationOptions.from_json(message.options).calibrate
        calibration = dict(CALIBRATION) if asked else {}
        return ModelEvaluated(metrics=metrics, calibration=calibration, failures=pairs)

    def _explain(self, message: ExplainPairs) -> PairsExplained:
        self._check(message)
        self.explained += [(message.embedder, key) for key in message.pictures]
        for key in message.pictures:
            self.objects.put(key, b"picture")
        return PairsExplained(pictures=len(message.pictures))

    def _report(self, message: ReportEvaluation) -> EvaluationReported:
        self._check(message)
        found = [
            Metrics.from_dict(json.loads(self.objects.get(f"{each}metrics.json"))).product
            for each in message.results
        ]
        differences = []
        for number, of in enumerate(found[1:], 1):
            by = {name: of[name].value - found[0][name].value for name in of}
            estimates = {name: _estimate(value) for name, value in by.items()}
            differences.append(Difference(0, number, estimates).to_dict())
        self.objects.put(message.report, f"<title>{message.title}</title>".encode())
        return EvaluationReported(differences=tuple(differences))

    def _check(self, message: object) -> None:
        if reason := self.failing.get(type(message)):
            raise InvalidArgument(f"the worker says {reason}", reason=reason)


def open_world(
    root: Path, vectors: VectorStore, seed: int = 0, long_lease: float = 60.0
) -> EvaluationWorld:
    """With an empty catalogue `shop`, and models `other` and `duo`."""
    made = EvaluationWorld(root, vectors, seed, long_lease)
    made.create("shop")
    add_model(made, "other", OTHER)
    add_model(made, "duo", DUO)
    return made


def make_dataset(
    world: World,
    rows: Iterable[Mapping[str, Any]],
    *,
    name: str = "val",
    absent: bool = False,
    run: bool = True,
) -> str:
    """As the gateway does; returns the operation's id."""
    lines = [json.dumps({"row": number, **each}) for number, each in enumerate(rows, 1)]
    key = keys.manifest_key("shop", f"q{world.random.getrandbits(60)}")
    world.objects.put(key, "\n".join(lines).encode())
    build, now = names.new_id(), world.clock.now()
    with world.records.begin(write=True) as tx:
        request = dataset_request(name, build, key, absent)
        operation = tx.operations.create(OperationKind.CREATE_DATASET, "shop", 0, request, now)
        queued = OperationState.QUEUED
        made = Dataset(name, "shop", "", absent, build, operation.id, queued, {}, now)
        tx.datasets.add(made)
    if run:
        world.run()
    return operation.id


def queries(world: World, count: int, **fields: Any) -> list[dict[str, Any]]:
    """Rows of a photo each of sku-0..."""
    return [row(f"sku-{at}", world.image(f"photo {at}"), **fields) for at in range(count)]


def evaluate(world: World, *models: str, run: bool = True, **options: Any) -> str:
    """As the gateway does; returns the id of the evaluation."""
    made = names.new_id()
    with world.records.begin(write=True) as tx:
        records = [tx.models.get(each) for each in models]
        request, now = evaluation_request(made), world.clock.now()
        operation = tx.operations.create(OperationKind.EVALUATE, "shop", 0, request, now)
        tx.evaluations.add(
            Evaluation(
                id=made,
                dataset="val",
                catalog="shop",
                stages="{}",
                options=EvaluationOptions(**options).to_json(),
                models=tuple(EvaluatedModel(each.name, each.digest) for each in records),
                operation=operation.id,
                state=OperationState.QUEUED,
                create_time=now,
            )
        )
    if run:
        world.run()
    return made


def add_model(world: World, name: str, model: Model) -> Model:
    """Registers it where workers find it, too."""
    register(world, name, model)
    world.objects.put(keys.model_spec_key(model.digest), model.to_json().encode())
    return model


def dataset(world: World, name: str = "val") -> Dataset:
    with world.records.begin() as tx:
        return tx.datasets.get(name)


def evaluation(world: World, made: str) -> Evaluation:
    with world.records.begin() as tx:
        return tx.evaluations.get(made)


def frozen(world: World, role: str) -> list[DatasetRow]:
    """All rows of a role of the dataset."""
    found = dataset(world)
    prefix = keys.dataset_prefix(found.id, found.build)
    return [each for page in read_pages(world.objects, prefix, role) for each in page]


def left_files(world: World, *prefixes: str) -> list[str]:
    return [key for prefix in prefixes for key in world.objects.keys(prefix)]


def _metrics(value: float, counts: Mapping[str, int], options: str) -> dict[str, Any]:
    ks = EvaluationOptions.from_json(options).ks
    product = {f"map@{k}": _estimate(value) for k in ks}
    return Metrics(
        queries=counts[QUERIES],
        absent=0,
        gallery_images=counts[GALLERY],
        gallery_products=counts[GALLERY],
        product=product,
        image=product,
        class_mean=value,
        per_category={},
    ).to_dict()


def _estimate(value: float) -> Estimate:
    return Estimate(value, value - _MARGIN, value + _MARGIN)
