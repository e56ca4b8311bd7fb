"""The evaluation worker over a real object store."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound
from services.core.domain.keys import embeddings_key, plan_key, working_prefix
from services.core.domain.model import LinearSpec, Member, Model
from services.core.messages import FitLinear
from services.core.outcomes import LinearFitted
from services.core.ports import Float32
from services.core.runtime.worker import Handlers
from services.core.shard_files import Embeddings, PlannedPoint, write_embeddings, write_plan
from services.evaluation import tasks
from services.evaluation.gallery import Gallery
from services.evaluation.handlers import EvaluationHandlers, Fitter
from services.retrieval.composing import compose
from services.retrieval.linear_store import LinearStore
from tests.unit.retrieval_models import a_linear, an_embedder, single, spec_of

ONE, TWO = an_embedder(8, name="one"), an_embedder(6, name="two")
IMAGES = 90
OPERATION = "fit-1"
Source = tuple[tuple[str, ...], tuple[int, ...]]


class CountingObjects(FileObjects):
    """Files, and how often each was read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        self.reads[key] += 1
        return super().get(key)


@pytest.fixture
def objects(tmp_path: Path) -> CountingObjects:
    return CountingObjects(tmp_path / "objects")


def raw(dimension: int, images: int = IMAGES) -> Float32:
    random = np.random.default_rng(dimension)
    wide = random.standard_normal((images, dimension)) * np.geomspace(1, 0.05, dimension)
    return (2.0 + wide).astype(np.float32)


def unit(rows: Float32) -> Float32:
    unit: Float32 = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def keep(objects: FileObjects, digest: str, dimension: int, files: int = 3) -> list[str]:
    """Embeddings files of a third of the images each; their keys."""
    keys = []
    for number, rows in enumerate(np.array_split(raw(dimension), files)):
        norms = np.linalg.norm(rows, axis=1)
        names = tuple(f"{n:064x}" for n in range(len(rows)))
        keys.append(embeddings_key(digest, "import-1", number))
        objects.put(keys[-1], write_embeddings(Embeddings(names, unit(rows), norms)))
    return keys


def sources(*keys: Sequence[str]) -> list[Source]:
    """Every image: its file and row of each member."""
    each = IMAGES // len(keys[0])
    return [
        (tuple(member[n // each] for member in keys), (n % each,) * len(keys))
        for n in range(IMAGES)
    ]


def plan(objects: FileObjects, number: int, images: Sequence[Source], **other: Any) -> None:
    points = [
        PlannedPoint("upsert", f"{number}-{place}", 1, {"sku": "s"}, *source)
        for place, source in enumerate(images)
    ]
    points += [PlannedPoint("delete", "gone", 1, {}), PlannedPoint("payload", "new", 1, {})]
    objects.put(plan_key(other.get("operation", OPERATION), number, 0), write_plan(points))


def message(model: Model, **changes: Any) -> FitLinear:
    values: dict[str, Any] = {
        "model": model.to_json(),
        "plans": working_prefix(OPERATION),
        "method": "whitening",
    }
    return FitLinear(id="fit", operation=OPERATION, revision=0, **(values | changes))


@pytest.fixture
def gallery(objects: CountingObjects) -> list[Source]:
    """Two plans, which both name the same thirty images."""
    images = sources(keep(objects, ONE.digest, 8))
    order = [images[int(n)] for n in np.random.default_rng(1).permutation(IMAGES)]
    plan(objects, 0, order[:60])
    plan(objects, 1, order[30:])
    return images


def fitted(
    objects: FileObjects, model: Model, outcome: LinearFitted, *, norms: bool = False
) -> Model:
    """`model` with what was fitted as its last linear part."""
    spec = LinearSpec(outcome.sha256, outcome.input_dim, outcome.output_dim, norms)
    if len(model.members) == 1:
        return single(model.members[0].embedder, spec)
    return Model(model.members, spec)


def test_the_whitened_gallery_has_the_identity_as_covariance(
    objects: CountingObjects, gallery: list[Source]
) -> None:
    outcome = Fitter(objects).fit(message(single(ONE)))
    assert (outcome.input_dim, outcome.output_dim, outcome.samples) == (8, 8, IMAGES)
    assert outcome.explained == pytest.approx(1.0)
    model = fitted(objects, single(ONE), outcome)
    (linear,) = LinearStore(objects).of(model).values()
    white = linear.apply(unit(raw(8)))
    np.testing.assert_allclose(white.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.cov(white, rowvar=False), np.eye(8), atol=1e-3)


def test_an_image_of_several_plans_and_products_counts_once(
    objects: CountingObjects, gallery: list[Source]
) -> None:
    plan(objects, 2, gallery[:20] * 5)
    with_repeats = Fitter(objects).fit(message(single(ONE)))
    plan(objects, 0, gallery)
    for number in (1, 2):
        objects.delete(plan_key(OPERATION, number, 0))
    assert Fitter(objects).fit(message(single(ONE))) == with_repeats
    assert with_repeats.samples == IMAGES


def test_images_are_recognised_in_a_later_wave(
    objects: CountingObjects, gallery: list[Source]
) -> None:
    for wave in (1, 61):
        parts = [part for (part,) in Gallery(objects, 1, wave).parts(working_prefix(OPERATION))]
        found = np.concatenate([embeddings for embeddings, _ in parts])
        assert len(found) == IMAGES
        np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(unit(raw(8)), axis=0))


def test_every_embeddings_file_is_read_once(
    objects: CountingObjects, gallery: list[Source]
) -> None:
    Fitter(objects).fit(message(single(ONE)))
    reads = {key: count for key, count in objects.reads.items() if key.startswith("embeddings/")}
    assert len(reads) == 3
    assert set(reads.values()) == {1}


def test_plans_of_other_operations_do_not_count(
    objects: CountingObjects, gallery: list[Source]
) -> None:
    before = Fitter(objects).fit(message(single(ONE)))
    plan(objects, 0, [((f"embeddings/{ONE.digest}/none",), (0,))], operation="fit-2")
    assert Fitter(objects).fit(message(single(ONE))) == before


def test_a_fit_delivered_twice_is_stored_once(
    objects: CountingObjects, gallery: list[Source]
) -> None:
    first = Fitter(objects).fit(message(single(ONE), method="pca", dimension=3))
    assert Fitter(objects).fit(message(single(ONE), method="pca", dimension=3)) == first
    assert len(list(objects.keys("models/linear/"))) == 1


def test_with_norms_the_lengths_from_before_count(
    objects: CountingObjects, gallery: list[Source]
) -> None:
    outcome = Fitter(objects).fit(message(single(ONE), norms=True))
    (linear,) = LinearStore(objects).of(fitted(objects, single(ONE), outcome)).values()
    np.testing.assert_allclose(linear.mean, raw(8).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.cov(linear.apply(raw(8)), rowvar=False), np.eye(8), atol=1e-3)


def test_an_ensemble_is_fitted_behind_its_members(objects: CountingObjects) -> None:
    inner = a_linear(8, 5)
    LinearStore(objects).put(inner)
    model = Model((Member(ONE, spec_of(inner)), Member(TWO)))
    keys = keep(objects, ONE.digest, 8), keep(objects, TWO.digest, 6)
    plan(objects, 0, sources(*keys))
    outcome = Fitter(objects).fit(message(model, method="pca", dimension=4))
    assert (outcome.input_dim, outcome.output_dim, outcome.samples) == (11, 4, IMAGES)
    parts = [(unit(rows), np.linalg.norm(rows, axis=1)) for rows in (raw(8), raw(6))]
    linears = LinearStore(objects).of(fitted(objects, model, outcome))
    joined = compose(model, parts, linears)
    linear = linears[outcome.sha256]
    np.testing.assert_allclose(linear.mean, joined.mean(axis=0), atol=1e-6)
    covariance = np.cov(linear.apply(joined), rowvar=False)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-7)
    total = np.cov(joined, rowvar=False).trace()
    assert outcome.explained == pytest.approx(covariance.trace() / total, rel=1e-4)


def test_too_few_images_are_refused_and_nothing_is_stored(objects: CountingObjects) -> None:
    plan(objects, 0, sources(keep(objects, ONE.digest, 8))[:5])
    with pytest.raises(FailedPrecondition) as refused:
        Fitter(objects).fit(message(single(ONE)))
    assert refused.value.reason == "TOO_FEW_EMBEDDINGS"
    assert "at least 9" in refused.value.message
    assert list(objects.keys("models/")) == []


def test_no_plans_are_too_few(objects: CountingObjects) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        Fitter(objects).fit(message(single(ONE)))
    assert refused.value.reason == "TOO_FEW_EMBEDDINGS"


@pytest.mark.parametrize(
    ("model", "changes", "field", "reason"),
    [
        (single(ONE), {"method": "ica"}, "method", "UNKNOWN_METHOD"),
        (single(ONE), {"dimension": 9}, "dimension", "DIMENSION_TOO_LARGE"),
        (single(ONE), {"shrinkage": 2.0}, "shrinkage", "INVALID_SHRINKAGE"),
        (single(ONE), {"method": "pca", "shrinkage": 0.1}, "shrinkage", "INVALID_SHRINKAGE"),
        (single(ONE, spec_of(a_linear(8, 5))), {}, "model", "MODEL_HAS_LINEAR"),
        (Model((Member(ONE), Member(TWO))), {"norms": True}, "norms", "NORMS_OF_ENSEMBLE"),
        (single(an_embedder(8193)), {}, "dimension", "TOO_MANY_DIMENSIONS"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_anything_is_read(
    objects: CountingObjects, model: Model, changes: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Fitter(objects).fit(message(model, **changes))
    assert (refused.value.reason, refused.value.metadata["field"]) == (reason, field)
    assert not objects.reads


def test_plans_that_do_not_fit_their_files_say_why(objects: CountingObjects) -> None:
    (key, *_) = keep(objects, ONE.digest, 8)
    for row in (30, -1):
        plan(objects, 0, [((key,), (row,))])
        with pytest.raises(DataLoss) as damaged:
            Fitter(objects).fit(message(single(ONE)))
        assert damaged.value.reason == "EMBEDDINGS_INCOMPLETE"
    plan(objects, 0, [((f"{key}-none",), (0,))])
    with pytest.raises(NotFound):
        Fitter(objects).fit(message(single(ONE)))
    plan(objects, 0, [((key, key), (0, 0))])
    with pytest.raises(InvalidArgument) as differs:
        Fitter(objects).fit(message(single(ONE)))
    assert differs.value.reason == "PLAN_DIFFERS"
    plan(objects, 0, [((key,), (0,))])
    with pytest.raises(InvalidArgument) as other:
        Fitter(objects).fit(message(single(TWO)))
    assert other.value.reason == "DIMENSION_MISMATCH"


def test_the_worker_takes_the_messages_of_its_queue(
    objects: CountingObjects, gallery: list[Source]
) -> None:
    handlers: Handlers = tasks.handlers(EvaluationHandlers(objects))
    sent = message(single(ONE), dimension=2)
    received = FitLinear.from_json(sent.to_json())
    assert tasks.QUEUES == (FitLinear.QUEUE,)
    assert asdict(handlers[FitLinear](received))["output_dim"] == 2
