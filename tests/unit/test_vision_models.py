"""Models load as they are described, and compute what plain timm computes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from services.core.domain.errors import DataLoss, FailedPrecondition, NotFound
from services.core.domain.model import BUILT_IN
from services.core.domain.model_spec import ModelSpec
from services.vision import precision as precisions
from services.vision.backbone import embedding_dim, make_backbone
from services.vision.builtin_weights import BUILTIN, LITE0_SHA256
from services.vision.embedder import ImageEmbedder
from services.vision.fusing import fuse_batch_norms
from services.vision.models import best_precision, builtin_model, describe_local, load_embedder
from services.vision.pooling import AveragePooling
from services.vision.token_maps import image_tokens
from services.vision.weight_names import fit_weights, load_fitted
from services.vision.weights import file_sha256, read_weights
from tests.unit.vision_networks import SMALL, pictures, small_state, small_weights


@pytest.fixture(scope="module")
def base() -> ImageEmbedder:
    return builtin_model("base")[1]()


def test_embeddings_have_length_one_and_their_norms_beside(base: ImageEmbedder) -> None:
    embeddings, norms = base.embed(pictures(3))
    assert embeddings.shape == (3, 1280)
    assert embeddings.dtype == norms.dtype == np.float32
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert (norms > 0.1).all()


@pytest.mark.parametrize("precision", sorted({"fp32", best_precision()}))
def test_an_embedding_does_not_depend_on_its_batch(precision: str) -> None:
    embedder = builtin_model("base", precision)[1]()
    together, _ = embedder.embed(pictures(32))
    alone = np.concatenate([embedder.embed(each[None])[0] for each in pictures(32)[:6]])
    eight, _ = embedder.embed(pictures(32)[24:])
    assert (together[:6] * alone).sum(1).min() > 0.9999
    assert (together[24:] * eight).sum(1).min() > 0.9999


@pytest.mark.parametrize("name", BUILTIN)
def test_a_built_in_model_computes_what_plain_timm_computes(name: str) -> None:
    builtin = BUILTIN[name]
    state, _ = read_weights(builtin.file(), builtin.sha256)
    plain = make_backbone(builtin.backbone)
    load_fitted(plain, fit_weights(plain, state, name))
    images = pictures(2, builtin.side)
    with torch.inference_mode():
        expected = plain(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1).numpy()
    norms = np.linalg.norm(expected, axis=1)
    expected /= norms[:, None]
    exact, exact_norms = builtin_model(name, "fp32")[1]().embed(images)
    assert (exact * expected).sum(1).min() > 0.999999
    assert np.allclose(exact_norms, norms, rtol=1e-3)
    fast, _ = builtin_model(name)[1]().embed(images)
    assert (fast * expected).sum(1).min() > 0.99


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit", "test_convnext"])
def test_fusing_and_pooling_work_for_every_kind_of_backbone(name: str) -> None:
    plain = make_backbone(name)
    plain.load_state_dict(small_state(name))
    images = torch.randn(2, 3, 160, 160)
    pool = AveragePooling()
    with torch.inference_mode():
        before = pool(image_tokens(plain, images))
        after = pool(image_tokens(fuse_batch_norms(plain, 160), images))
    assert before.shape == (2, embedding_dim(plain))
    assert torch.allclose(before, after, atol=1e-4)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_local_weights_of_any_timm_model_load(tmp_path: Path, suffix: str) -> None:
    path = small_weights(tmp_path, suffix)
    spec = describe_local(SMALL, path, "fp32")
    embeddings, _ = load_embedder(spec, path).embed(pictures(2, spec.crop))
    assert embeddings.shape == (2, spec.embedding_dim)
    assert spec.weights_sha256 == file_sha256(path)


def test_weights_of_another_file_are_refused(tmp_path: Path) -> None:
    path = small_weights(tmp_path)
    spec = describe_local(SMALL, path, "fp32")
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(DataLoss, match=r"small\.safetensors"):
        load_embedder(spec, path)


def test_missing_weights_are_said_to_be_missing(tmp_path: Path) -> None:
    spec = builtin_model("base")[0]
    other = ModelSpec.from_json(spec.to_json().replace(LITE0_SHA256, "0" * 64))
    with pytest.raises(FailedPrecondition) as refusal:
        load_embedder(other)
    assert refusal.value.reason == "WEIGHTS_NOT_FOUND"
    with pytest.raises(FailedPrecondition) as refusal:
        describe_local(SMALL, tmp_path / "none.safetensors")
    assert refusal.value.reason == "WEIGHTS_NOT_FOUND"


def test_an_unknown_built_in_model_names_those_there_are() -> None:
    with pytest.raises(NotFound, match="base, lite1, lite2"):
        builtin_model("huge")


def test_built_in_models_keep_the_same_part_of_a_picture() -> None:
    pixels = {name: builtin_model(name, "fp32")[0].views for name in BUILTIN}
    assert pixels == {"base": ((256, 224),), "lite1": ((274, 240),), "lite2": ((297, 260),)}


def test_a_precision_that_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precisions, "_cpu_flags", lambda: {"avx2"})
    assert best_precision() == "fp32"
    with pytest.raises(FailedPrecondition, match="bf16") as refusal:
        builtin_model("base", "bf16")[1]()
    assert refusal.value.reason == "PRECISION_UNSUPPORTED"


def test_a_wrong_embedding_dim_is_refused(tmp_path: Path) -> None:
    path = small_weights(tmp_path)
    text = (
        describe_local(SMALL, path, "fp32")
        .to_json()
        .replace('"embedding_dim":', '"embedding_dim":9')
    )
    with pytest.raises(FailedPrecondition) as refusal:
        load_embedder(ModelSpec.from_json(text), path)
    assert refusal.value.reason == "WRONG_EMBEDDING_DIM"


def test_what_workers_offer_is_what_has_built_in_weights() -> None:
    assert tuple(BUILTIN) == BUILT_IN
    digests = {builtin_model(name)[0].digest for name in BUILT_IN}
    assert len(digests) == len(BUILT_IN)
