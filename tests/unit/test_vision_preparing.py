"""A recipe becomes an embedder that ran, or is refused by name before anything is queued."""

from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import safetensors.torch
import torch

from services.core.domain.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    ShelflensError,
)
from services.core.domain.recipes import EmbedderRecipe
from services.vision.builtin_weights import LITE0_SHA256
from services.vision.models import builtin_model, describe_local, load_embedder
from services.vision.preparing import Prepared, prepare
from services.vision.weights import State, file_sha256
from tests.unit.test_vision_weights import Payload
from tests.unit.vision_networks import (
    SMALL,
    pictures,
    rows,
    small_embedder,
    small_state,
    small_weights,
)


def recipe(backbone: str = SMALL, **choice: Any) -> EmbedderRecipe:
    chosen = {"precision": "fp32"} | choice
    return EmbedderRecipe(backbone=backbone, **chosen)


def saved(folder: Path, state: State) -> Path:
    path = folder / "given.safetensors"
    safetensors.torch.save_file(state, path)
    return path


def prepared_from(folder: Path, state: State, **choice: Any) -> Prepared:
    return prepare(recipe(**choice), saved(folder, state), folder)


def refusal(folder: Path, asked: EmbedderRecipe, uploaded: Path | None) -> ShelflensError:
    with pytest.raises(ShelflensError) as refused:
        prepare(asked, uploaded, folder)
    return refused.value


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_an_uploaded_file_becomes_one_safetensors_file(tmp_path: Path, suffix: str) -> None:
    prepared = prepare(recipe(), small_weights(tmp_path, suffix), tmp_path)
    assert prepared.weights is not None
    assert prepared.spec.weights_sha256 == file_sha256(prepared.weights)
    stored = safetensors.torch.load_file(prepared.weights)
    assert all(torch.equal(value, small_state()[key]) for key, value in stored.items())
    found = load_embedder(prepared.spec, prepared.weights).embed(pictures(2, 160))[0]
    assert np.allclose(found, small_embedder().embed(pictures(2, 160))[0], atol=1e-6)


def test_the_same_weights_give_the_same_model_whatever_the_file(tmp_path: Path) -> None:
    digests = set()
    for place, suffix in enumerate(("safetensors", "pth")):
        (folder := tmp_path / str(place)).mkdir()
        digests.add(prepare(recipe(), small_weights(folder, suffix), folder).spec.digest)
    (folder := tmp_path / "2").mkdir()
    head = {"classifier.weight": torch.zeros(10, 256), "classifier.bias": torch.zeros(10)}
    wrapped = {f"module.{key}": value for key, value in (small_state() | head).items()}
    prepared = prepared_from(folder, wrapped)
    assert digests == {prepared.spec.digest}
    assert len(prepared.notes) == 2


def test_resolutions_do_not_change_the_weights(tmp_path: Path) -> None:
    digests = set()
    for sides in ((), (128,), (128, 192)):
        path = small_weights(tmp_path, name="test_vit")
        prepared = prepare(recipe("test_vit", resolutions=sides), path, tmp_path)
        assert [each.crop for each in prepared.spec.views] == list(sides or (160,))
        digests.add(prepared.spec.weights_sha256)
    assert len(digests) == 1


def test_the_backbones_own_resolution_is_no_choice(tmp_path: Path) -> None:
    path = small_weights(tmp_path)
    own = prepare(recipe(resolutions=(160,)), path, tmp_path)
    assert own.spec == prepare(recipe(), path, tmp_path).spec


def test_every_part_of_the_recipe_is_in_the_spec(tmp_path: Path) -> None:
    chosen: dict[str, Any] = {
        "pooling": "gem",
        "resolutions": (96, 128),
        "fit": "pad",
        "flip": True,
        "autocrop": 0.5,
        "gem_p": 4.0,
        "lca_average": "sizes",
        "rmac_levels": 2,
        "distance": "euclidean",
        "normalised": False,
    }
    spec = prepare(recipe(**chosen), small_weights(tmp_path), tmp_path).spec
    assert {name: getattr(spec, name) for name in chosen} == chosen
    assert (spec.crop, spec.interpolation) == (160, "bicubic")


def test_pixels_are_those_of_the_weights_not_of_the_architecture() -> None:
    clip = describe_pixels("vit_base_patch16_clip_224.openai")
    assert clip[0] == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert describe_pixels("vit_base_patch16_224.augreg_in21k")[0] == (0.5, 0.5, 0.5)
    assert describe_pixels("resnet50.tv_in1k")[1:] == (256, 224, "bilinear")


def describe_pixels(backbone: str) -> tuple[tuple[float, ...], int, int, str]:
    spec = describe_local(backbone, Path(__file__), "fp32")
    return spec.mean, spec.resize, spec.crop, spec.interpolation


def test_the_built_in_model_is_made_by_a_recipe(tmp_path: Path) -> None:
    prepared = prepare(recipe("tf_efficientnet_lite0"), None, tmp_path)
    assert prepared.spec == builtin_model("base", "fp32")[0]
    assert prepared.weights is None
    assert prepared.notes == ("the weights are the built-in ones of 'base'",)
    assert [*tmp_path.iterdir()] == []


def test_a_learnt_power_of_gem_is_taken_from_the_file(tmp_path: Path) -> None:
    state = small_state() | {"pooling.p": torch.tensor([2.5])}
    prepared = prepared_from(tmp_path, state, pooling="gem")
    assert prepared.spec.gem_p == 2.5
    assert "gem_p is 2.5" in prepared.notes[-1]


def test_whitening_of_regions_decides_the_dimension(tmp_path: Path) -> None:
    whitening = {"pooling.mean": torch.zeros(256), "pooling.matrix": torch.randn(256, 9)}
    prepared = prepared_from(tmp_path, small_state() | whitening, pooling="rmac")
    embeddings, _ = load_embedder(prepared.spec, prepared.weights).embed(pictures(1, 160))
    assert embeddings.shape == (1, 9)


def test_a_projection_head_comes_from_the_file(tmp_path: Path) -> None:
    state = small_state() | {"projection.weight": torch.randn(7, 256)}
    prepared = prepared_from(tmp_path, state, head_dim=7)
    embeddings, _ = load_embedder(prepared.spec, prepared.weights).embed(pictures(1, 160))
    assert embeddings.shape == (1, 7)
    without = prepared_from(tmp_path, state)
    assert without.spec.embedding_dim == 256
    assert without.notes == ("left out the projection head of the file: set head_dim to use it",)


def test_the_last_layer_of_the_file_serves_as_projection_head(tmp_path: Path) -> None:
    weight, bias = torch.randn(7, 64), torch.randn(7)
    state = small_state("test_vit") | {"head.weight": weight, "head.bias": bias}
    prepared = prepared_from(tmp_path, state, backbone="test_vit", head_dim=7, pooling="cls")
    assert prepared.weights is not None
    stored = safetensors.torch.load_file(prepared.weights)
    assert torch.equal(stored["projection.weight"], weight)
    assert torch.equal(stored["projection.bias"], bias)
    assert prepared.notes[-1] == "the projection head is the layer 'head' of the file"


def test_a_missing_projection_head_is_refused(tmp_path: Path) -> None:
    refused = refusal(tmp_path, recipe(head_dim=7), small_weights(tmp_path))
    assert refused.reason == "WEIGHTS_MISMATCH"
    assert "head_dim 7" in refused.message


def test_a_given_digest_is_that_of_the_given_file(tmp_path: Path) -> None:
    path = small_weights(tmp_path, "pth")
    prepare(recipe(weights_sha256=file_sha256(path)), path, tmp_path)
    refused = refusal(tmp_path, recipe(weights_sha256="0" * 64), path)
    assert isinstance(refused, DataLoss)
    assert refused.reason == "DIGEST_MISMATCH"
    assert "small.pth" in refused.message


def test_a_given_digest_holds_for_built_in_weights(tmp_path: Path) -> None:
    lite0 = "tf_efficientnet_lite0"
    assert prepare(recipe(lite0, weights_sha256=LITE0_SHA256), None, tmp_path).weights is None
    refused = refusal(tmp_path, recipe(lite0, weights_sha256="0" * 64), None)
    assert refused.reason == "DIGEST_MISMATCH"


def test_weights_with_code_are_refused_before_anything_runs(tmp_path: Path) -> None:
    torch.save({"weight": Payload()}, tmp_path / "bad.pth")
    refused = refusal(tmp_path, recipe(), tmp_path / "bad.pth")
    assert isinstance(refused, InvalidArgument)
    assert refused.reason == "UNSAFE_WEIGHTS"


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    state = small_state()
    state["conv_stem.weight"][0, 0, 0, 0] = float("nan")
    refused = refusal(tmp_path, recipe(), saved(tmp_path, state))
    assert refused.reason == "WEIGHTS_NOT_FINITE"
    assert SMALL in refused.message


@pytest.mark.parametrize(
    ("asked", "reason", "named"),
    [
        (recipe("resnet_50"), "UNKNOWN_BACKBONE", "resnet50"),
        (recipe(pooling="cls"), "POOLING_UNSUPPORTED", "use avg, max, gem, lca, rmac"),
        (recipe("pit_ti_224", autocrop=0.5, pooling="cls"), "POOLING_UNSUPPORTED", "autocrop"),
        (recipe("crossvit_tiny_240"), "BACKBONE_UNSUPPORTED", "crossvit_tiny_240"),
        (recipe("test_vit", resolutions=(150,)), "RESOLUTION_UNSUPPORTED", "144"),
        (recipe(pooling="sum"), "INVALID_MODEL_SPEC", "pooling"),
        (recipe(precision="int4"), "INVALID_MODEL_SPEC", "precision"),
    ],
)
def test_what_is_impossible_is_refused_before_weights_are_read(
    tmp_path: Path, asked: EmbedderRecipe, reason: str, named: str
) -> None:
    refused = refusal(tmp_path, asked, tmp_path / "never read")
    assert refused.reason == reason
    assert named in refused.message


def test_an_unreachable_hub_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    refused = refusal(tmp_path, recipe("test_resnet"), None)
    assert isinstance(refused, FailedPrecondition)
    assert refused.reason == "HUB_UNREACHABLE"
    assert "'test_resnet.r160_in1k'" in refused.message
    assert "give a file" in refused.message
    assert [*tmp_path.iterdir()] == []


def test_a_backbone_without_published_weights_asks_for_a_file(tmp_path: Path) -> None:
    refused = refusal(tmp_path, recipe("convnext_atto_rms"), None)
    assert refused.reason == "WEIGHTS_NOT_FOUND"


def test_a_prepared_model_embeds_its_own_rows(tmp_path: Path) -> None:
    chosen: dict[str, Any] = {"resolutions": (96, 160), "flip": True, "pooling": "lca"}
    prepared = prepare(recipe(**chosen), small_weights(tmp_path), tmp_path)
    pixels = rows(prepared.spec, 2)
    found = load_embedder(prepared.spec, prepared.weights).embed(pixels)[0]
    assert np.allclose(found, small_embedder(**chosen).embed(pixels)[0], atol=1e-6)
