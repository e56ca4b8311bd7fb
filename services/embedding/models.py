"""The default model of a process, and the gate that its forward passes go through."""

import os
from pathlib import Path

import torch

from services.core.domain.model import BUILT_IN
from services.core.domain.model_spec import ModelSpec
from services.embedding.forward_gate import ForwardGate
from services.embedding.settings import ModelSettings
from services.vision.models import builtin_model, describe_local


def make_gate(
    settings: ModelSettings, device: str = "cpu", query_batch: int = 16, query_window: float = 0.0
) -> ForwardGate:
    """On a CPU one lane a core, one thread a lane: passes side by side beat one pass on all cores.

    On a GPU one lane: passes would take turns anyway. `query_window` in seconds.
    """
    if device != "cpu":
        return ForwardGate(1, query_batch=query_batch, query_window=query_window)
    return ForwardGate(
        settings.threads or len(os.sched_getaffinity(0)),
        query_batch=query_batch,
        query_window=query_window,
        prepare=lambda: torch.set_num_threads(1),
    )


def offered_models(
    settings: ModelSettings, precision: str | None = None, device: str = "cpu"
) -> list[tuple[str, ModelSpec, Path | None]]:
    """Name, spec and weights of what every worker offers: the default model, named base, first,
    then the other built-in ones. Arguments and errors as of default_model."""
    spec, weights = default_model(settings, precision, device)
    others = [(name, builtin_model(name, precision, device)[0], None) for name in BUILT_IN[1:]]
    return [(BUILT_IN[0], spec, weights), *others]


def default_model(
    settings: ModelSettings, precision: str | None = None, device: str = "cpu"
) -> tuple[ModelSpec, Path | None]:
    """The spec that the settings name and the file of its weights, None where they are built in.

    `precision` is the device's best unless given. Raises InvalidArgument (UNKNOWN_BACKBONE),
    FailedPrecondition (WEIGHTS_NOT_FOUND).
    """
    if settings.weights is None:  # the settings checked that a backbone comes with weights
        return builtin_model("base", precision, device)[0], None
    return describe_local(settings.backbone, settings.weights, precision, device), settings.weights
