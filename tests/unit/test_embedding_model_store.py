"""Models in the object store, and how embedders get there and back."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound
from services.core.domain.keys import (
    linear_key,
    model_spec_key,
    uploaded_weights_key,
    weights_key,
)
from services.core.domain.model import LinearSpec, Member, Model
from services.core.domain.recipes import EmbedderRecipe
from services.core.messages import PrepareModel
from services.core.ports import Float32
from services.embedding.model_store import ModelStore
from services.embedding.preparing import ModelPreparer
from services.retrieval.linear_store import LinearStore
from services.vision.embedder import ImageEmbedder
from services.vision.models import builtin_model
from tests.contract.embedders import SmallModel, small_model
from tests.unit.embedding_world import linear


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path / "objects")


@pytest.fixture
def store(objects: FileObjects, tmp_path: Path) -> ModelStore:
    return ModelStore(objects, tmp_path / "cache")


def files(small: SmallModel) -> dict[str, Path]:
    return {small.spec.weights_sha256: small.weights}


def embedded(embedder: ImageEmbedder) -> Float32:
    side = embedder.spec.crop
    pixels = np.random.default_rng(3).integers(0, 256, (1, side * side * 3), np.uint8)
    (embedding,), _ = embedder.embed(pixels)
    return np.asarray(embedding, np.float32)


def test_an_embedder_comes_back_as_it_was_published(
    store: ModelStore, objects: FileObjects, small: SmallModel, tmp_path: Path
) -> None:
    store.publish(Model.plain(small.spec), files(small))
    elsewhere = ModelStore(objects, tmp_path / "other cache")
    found = elsewhere.find(small.spec.digest)
    assert found == Model.plain(small.spec)
    first, second = (each.load(small.spec) for each in (store, elsewhere))
    assert np.array_equal(embedded(first), embedded(second))
    assert list((tmp_path / "other cache").iterdir()) == [
        tmp_path / "other cache" / f"{small.spec.weights_sha256}.safetensors"
    ]


def test_a_composed_model_is_published_with_its_embedders(
    store: ModelStore, objects: FileObjects, small: SmallModel
) -> None:
    base = builtin_model("base", "fp32")[0]
    dim = small.spec.embedding_dim
    sha256 = LinearStore(objects).put(linear(1, dim, 4))
    model = Model((Member(small.spec, LinearSpec(sha256, dim, 4)), Member(base)))
    store.publish(model, files(small))
    assert store.find(model.digest) == model
    for each in model.embedders:
        assert store.find(each.digest) == Model.plain(each)
    assert len(list(objects.keys("models/weights/"))) == 1  # the others are built in
    before = {key: objects.get(key) for key in objects.keys("")}
    store.publish(model)
    assert {key: objects.get(key) for key in objects.keys("")} == before


def test_a_model_whose_parts_are_missing_is_not_published(
    store: ModelStore, objects: FileObjects, small: SmallModel
) -> None:
    whitened = Model((Member(small.spec, LinearSpec("ab" * 32, small.spec.embedding_dim, 4)),))
    with pytest.raises(NotFound, match="abababababab") as caught:
        store.publish(whitened, files(small))
    assert caught.value.reason == "LINEAR_NOT_FOUND"
    objects.put(linear_key("ab" * 32), b"anything")
    with pytest.raises(NotFound, match=small.spec.weights_sha256[:12]) as caught:
        store.publish(whitened)
    assert caught.value.reason == "WEIGHTS_NOT_FOUND"
    assert not [key for key in objects.keys("models/") if key.endswith("model.json")]


def test_what_is_stored_under_another_models_digest_is_refused(
    store: ModelStore, objects: FileObjects, small: SmallModel
) -> None:
    for content in (small.spec.to_json().encode(), b"{}", b"\xff"):
        objects.put(model_spec_key("ab" * 32), content)
        with pytest.raises(DataLoss) as caught:
            store.find("ab" * 32)
        assert caught.value.reason == "MODEL_DAMAGED"
    with pytest.raises(NotFound):
        store.find("cd" * 32)


def test_weights_that_are_gone_or_damaged_are_named_and_fetched_again(
    store: ModelStore, objects: FileObjects, small: SmallModel
) -> None:
    with pytest.raises(NotFound, match=small.spec.weights_sha256[:12]):
        store.load(small.spec)
    good = small.weights.read_bytes()
    objects.put(weights_key(small.spec.weights_sha256), good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(DataLoss):
        store.load(small.spec)
    objects.put(weights_key(small.spec.weights_sha256), good)
    assert store.load(small.spec).spec == small.spec


def test_weights_that_could_carry_code_are_not_shared(
    store: ModelStore, objects: FileObjects, small: SmallModel, tmp_path: Path
) -> None:
    pickled = tmp_path / "model.pth"
    torch.save({}, pickled)
    with pytest.raises(FailedPrecondition) as caught:
        store.publish(Model.plain(small.spec), {small.spec.weights_sha256: pickled})
    assert caught.value.reason == "WEIGHTS_NOT_SAFETENSORS"
    assert not list(objects.keys(""))


def prepare(recipe: EmbedderRecipe | str, weights: str = "") -> PrepareModel:
    text = recipe if isinstance(recipe, str) else recipe.to_json()
    return PrepareModel(id="o/0/prepare", operation="o", revision=0, recipe=text, weights=weights)


def test_a_recipe_and_an_upload_become_an_embedder_that_every_worker_can_load(
    store: ModelStore, objects: FileObjects, small: SmallModel, tmp_path: Path
) -> None:
    key = uploaded_weights_key("upload-1")
    objects.put(key, small.weights.read_bytes())
    recipe = EmbedderRecipe(
        backbone=small.spec.backbone, pooling="gem", resolutions=(64, 96), flip=True
    )
    preparer = ModelPreparer(objects, store)
    outcome = preparer.prepare_model(prepare(recipe, key))
    assert preparer.prepare_model(prepare(recipe, key)) == outcome
    model = Model.from_json(outcome.spec)
    (spec,) = model.embedders
    assert (spec.pooling, spec.resolutions, spec.flip) == ("gem", (64, 96), True)
    elsewhere = ModelStore(objects, tmp_path / "other cache")
    assert elsewhere.find(spec.digest) == model
    assert elsewhere.load(spec).spec == spec
    assert objects.size(key) is not None
    stored = objects.get(weights_key(spec.weights_sha256))
    assert hashlib.sha256(stored).hexdigest() == spec.weights_sha256
    assert (
        safetensors.torch.load(stored).keys() <= safetensors.torch.load_file(small.weights).keys()
    )


def test_a_recipe_of_a_built_in_backbone_stores_no_weights(
    store: ModelStore, objects: FileObjects
) -> None:
    outcome = ModelPreparer(objects, store).prepare_model(
        prepare(EmbedderRecipe(backbone="tf_efficientnet_lite0", resolutions=(64,)))
    )
    assert outcome.notes
    assert not list(objects.keys("models/weights/"))
    assert store.find(Model.from_json(outcome.spec).digest).embedders[0].resolutions == (64,)


@pytest.mark.parametrize(
    "key", ["models/weights/x", "images/x", "models/uploads/../x", "models/uploads/", "/etc/passwd"]
)
def test_nothing_but_uploaded_weights_is_read(
    store: ModelStore, objects: FileObjects, small: SmallModel, key: str
) -> None:
    with pytest.raises(InvalidArgument):
        ModelPreparer(objects, store).prepare_model(
            prepare(EmbedderRecipe(backbone=small.spec.backbone), key)
        )


def test_an_upload_that_is_gone_and_a_recipe_that_is_none_are_refused(
    store: ModelStore, objects: FileObjects, small: SmallModel
) -> None:
    preparer = ModelPreparer(objects, store)
    recipe = EmbedderRecipe(backbone=small.spec.backbone)
    with pytest.raises(NotFound):
        preparer.prepare_model(prepare(recipe, uploaded_weights_key("gone")))
    for text in ("", "[]", '{"backbone": "x", "magic": 1}'):
        with pytest.raises(InvalidArgument):
            preparer.prepare_model(prepare(text))
    objects.put(uploaded_weights_key("bad"), b"\x80\x02cos\nsystem\n.")
    with pytest.raises(InvalidArgument):
        preparer.prepare_model(prepare(recipe, uploaded_weights_key("bad")))
    with pytest.raises(InvalidArgument):
        preparer.prepare_model(prepare(replace(recipe, backbone="resnet_of_nobody")))
    assert not list(objects.keys("models/weights/"))
