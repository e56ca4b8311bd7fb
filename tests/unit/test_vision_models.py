"""Weights load by checksum or not at all, and embeddings do not depend on the batch."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray

from services.core.domain.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound
from services.core.domain.model_spec import ModelSpec
from services.vision import backbone as backbones
from services.vision.backbone import average_pool, feature_map, fuse_batch_norms, make_backbone
from services.vision.embedder import ImageEmbedder
from services.vision.models import best_precision, builtin_model, describe_local, load_embedder
from services.vision.weights import LITE0_SHA256, file_sha256, lite0_file, load_into, read_weights

SMALL = "test_efficientnet.r160_in1k"  # timm's own, 0.4 million parameters


@pytest.fixture(scope="module")
def base() -> ImageEmbedder:
    return builtin_model("base")[1]()


def pictures(count: int, crop: int = 224) -> NDArray[np.uint8]:
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (count, crop // 16, crop // 16, 3), np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


def small_weights(folder: Path, suffix: str = "safetensors") -> Path:
    torch.manual_seed(4)
    state = make_backbone(SMALL).state_dict()
    path = folder / f"small.{suffix}"
    if suffix == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save({"state_dict": state}, path)
    return path


def test_lite0_fits_timm_without_a_missing_or_unexpected_tensor() -> None:
    model = make_backbone("tf_efficientnet_lite0")
    state = read_weights(lite0_file(), LITE0_SHA256)
    load_into(model, state, "lite0")
    own = {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}
    assert own <= state.keys()
    left = {name for name in state.keys() - own if not name.endswith("num_batches_tracked")}
    assert left == {"classifier.weight", "classifier.bias"}


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


def test_the_prepared_model_computes_what_plain_timm_computes(base: ImageEmbedder) -> None:
    plain = make_backbone("tf_efficientnet_lite0")
    load_into(plain, read_weights(lite0_file(), LITE0_SHA256), "lite0")
    images = torch.from_numpy(pictures(4)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        expected = plain(images).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    exact, _ = builtin_model("base", "fp32")[1]().embed(pictures(4))
    assert (exact * expected).sum(1).min() > 0.999999
    assert (base.embed(pictures(4))[0] * expected).sum(1).min() > 0.99


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit", "test_convnext"])
def test_fusing_and_pooling_work_for_every_kind_of_backbone(name: str) -> None:
    torch.manual_seed(1)
    plain = make_backbone(name)
    for name_of_tensor, values in plain.named_buffers():
        if name_of_tensor.endswith("running_mean"):
            values.uniform_(-0.5, 0.5)
        elif name_of_tensor.endswith("running_var"):
            values.uniform_(0.5, 2.0)
    images = torch.randn(2, 3, 160, 160)
    with torch.inference_mode():
        before = average_pool(plain, feature_map(plain, images))
        after = average_pool(plain, feature_map(fuse_batch_norms(plain, 160), images))
    assert before.shape == (2, backbones.embedding_dim(plain))
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


def test_weights_of_another_backbone_name_what_does_not_fit(tmp_path: Path) -> None:
    path = small_weights(tmp_path)
    with pytest.raises(InvalidArgument, match=r"missing: .*unexpected: ") as refusal:
        load_embedder(describe_local("test_resnet", path, "fp32"), path)
    assert refusal.value.reason == "WEIGHTS_MISMATCH"


def test_misshapen_tensors_are_named(tmp_path: Path) -> None:
    state = make_backbone(SMALL).state_dict()
    state["conv_stem.weight"] = torch.zeros(1, 2, 3)
    with pytest.raises(InvalidArgument, match=r"another shape: conv_stem\.weight"):
        load_into(make_backbone(SMALL), state, "mine")


class Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit('code ran')",))


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps(Payload(), protocol=2)])
def test_files_that_hold_code_or_nothing_are_refused(
    tmp_path: Path, content: bytes, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidArgument) as refusal:
        read_weights(path, file_sha256(path))
    assert refusal.value.reason == "UNSAFE_WEIGHTS"


def test_torch_files_with_code_or_without_tensors_are_refused(tmp_path: Path) -> None:
    for content in ({"weight": Payload()}, {"epoch": 3}, [torch.zeros(1)]):
        torch.save(content, tmp_path / "model.pth")
        with pytest.raises(InvalidArgument) as refusal:
            read_weights(tmp_path / "model.pth", file_sha256(tmp_path / "model.pth"))
        assert refusal.value.reason == "UNSAFE_WEIGHTS"


def test_an_unknown_backbone_names_the_three_closest() -> None:
    with pytest.raises(InvalidArgument, match=r"did you mean .*resnet50.*,.*,.*\?") as refusal:
        make_backbone("resnet_50")
    assert refusal.value.reason == "UNKNOWN_BACKBONE"


def test_missing_weights_are_said_to_be_missing(tmp_path: Path) -> None:
    spec = builtin_model("base")[0]
    other = ModelSpec.from_json(spec.to_json().replace(LITE0_SHA256, "0" * 64))
    with pytest.raises(FailedPrecondition) as refusal:
        load_embedder(other)
    assert refusal.value.reason == "WEIGHTS_NOT_FOUND"
    with pytest.raises(FailedPrecondition):
        describe_local(SMALL, tmp_path / "none.safetensors")
    with pytest.raises(NotFound, match="base"):
        builtin_model("huge")


def test_a_precision_that_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "_cpu_flags", lambda: {"avx2"})
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
