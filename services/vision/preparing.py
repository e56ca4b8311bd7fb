"""From what a user asks for to an embedder that runs: weights found, checked, converted, tried."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from services.core.domain.errors import DataLoss, InvalidArgument
from services.core.domain.model_spec import ModelSpec
from services.core.domain.pixel_views import bytes_of
from services.core.domain.recipes import EmbedderRecipe
from services.vision.backbone import outline
from services.vision.builtin_weights import BuiltIn, builtin_for
from services.vision.describing import check_abilities, describe
from services.vision.hub_weights import fetch_weights, hub_name
from services.vision.models import load_embedder
from services.vision.network import region_whitening
from services.vision.precision import check_precision
from services.vision.weight_names import FittedWeights, fit_weights
from services.vision.weights import Notes, State, file_sha256, read_weights, write_weights

_UNKNOWN = "0" * 64
_FILE = "model.safetensors"
_GREY = 128


@dataclass(frozen=True, slots=True)
class Prepared:
    """An embedder that ran. `weights` is its safetensors file, None where they are built in.

    `notes` say in sentences where the weights come from and what was renamed or left out.
    """

    spec: ModelSpec
    weights: Path | None
    notes: Notes


def prepare(
    recipe: EmbedderRecipe, uploaded: Path | None, folder: Path, device: str = "cpu"
) -> Prepared:
    """Resolves the weights of a recipe (the file `uploaded`, built-in ones, or timm's hub), writes
    them to a file in `folder` unless they are built in, and embeds one blank image.

    Whatever is impossible is refused here: what the backbone cannot do before any weights are
    touched (see describing), then FailedPrecondition (WEIGHTS_NOT_FOUND, HUB_UNREACHABLE,
    PRECISION_UNSUPPORTED), DataLoss (DIGEST_MISMATCH) where the recipe names another digest,
    InvalidArgument (UNSAFE_WEIGHTS, WEIGHTS_MISMATCH, WEIGHTS_NOT_FINITE).
    """
    draft = describe(recipe, _UNKNOWN, device)
    check_precision(draft, torch.device(device))
    check_abilities(draft)
    if uploaded is None and (builtin := builtin_for(recipe.backbone)) is not None:
        prepared = _of_builtin(draft, recipe, builtin)
    else:
        prepared = _of_file(draft, recipe, uploaded, folder)
    _try_out(prepared, device)
    return prepared


def _of_builtin(draft: ModelSpec, recipe: EmbedderRecipe, builtin: BuiltIn) -> Prepared:
    builtin.file()
    _check_digest(recipe, builtin.sha256, f"the built-in weights of '{builtin.backbone}'")
    spec = replace(draft, weights_sha256=builtin.sha256, resize=builtin.resize, crop=builtin.side)
    return Prepared(spec, None, (f"the weights are the built-in ones of '{builtin.name}'",))


def _of_file(
    draft: ModelSpec, recipe: EmbedderRecipe, uploaded: Path | None, folder: Path
) -> Prepared:
    if uploaded is None:
        name = hub_name(recipe.backbone)
        draft = replace(draft, backbone=name)
        state: State = fetch_weights(name, folder)
        notes: Notes = (f"the weights are those of '{name}' on timm's hub",)
        source = name
    else:
        _check_digest(recipe, file_sha256(uploaded), f"weights '{uploaded.name}'")
        state, notes = read_weights(uploaded, recipe.weights_sha256)
        source = uploaded.name
    # Fitted to the backbone's own size: the same file whatever the resolutions of the recipe.
    fitted = fit_weights(outline(draft.backbone), state, source)
    parts, found = _parts(draft, fitted)
    spec, more = _as_trained(draft, fitted)
    path = folder / _FILE
    sha256 = write_weights(path, fitted.backbone | parts)
    if uploaded is None:
        _check_digest(recipe, sha256, f"the weights of '{draft.backbone}'")
    return Prepared(
        replace(spec, weights_sha256=sha256), path, (*notes, *fitted.notes, *found, *more)
    )


def _parts(spec: ModelSpec, fitted: FittedWeights) -> tuple[State, Notes]:
    """What the file has for the projection head and the pooling of the spec."""
    projection = {k: v for k, v in fitted.parts.items() if k.startswith("projection.")}
    notes: Notes = ()
    if projection and not spec.head_dim:
        notes = ("left out the projection head of the file: set head_dim to use it",)
        projection = {}
    if spec.head_dim and not projection and (found := _linear_classifier(spec, fitted)):
        weight, layer = found
        projection = {"projection.weight": fitted.classifier[weight]}
        if (bias := fitted.classifier.get(f"{layer}.bias")) is not None:
            projection["projection.bias"] = bias
        notes = (f"the projection head is the layer '{layer}' of the file",)
    whitening = ("pooling.mean", "pooling.matrix") if spec.pooling == "rmac" else ()
    return projection | {k: v for k, v in fitted.parts.items() if k in whitening}, notes


def _linear_classifier(spec: ModelSpec, fitted: FittedWeights) -> tuple[str, str] | None:
    """The last layer of the file where it gives head_dim values, as that of CLIP does."""
    for name, value in fitted.classifier.items():
        if name.endswith(".weight") and value.ndim == 2 and value.shape[0] == spec.head_dim:
            return name, name.removesuffix(".weight")
    return None


def _as_trained(draft: ModelSpec, fitted: FittedWeights) -> tuple[ModelSpec, Notes]:
    """The spec with what the file says of the pooling."""
    if draft.pooling == "gem" and (learnt := fitted.parts.get("pooling.p")) is not None:
        power = float(learnt.reshape(-1)[0])
        return replace(draft, gem_p=power), (f"gem_p is {power:g}, which the file was trained to",)
    whitening = region_whitening(fitted) if draft.pooling == "rmac" else None
    if whitening is not None and not draft.head_dim:
        dimension = int(whitening.matrix.shape[1])
        return replace(draft, embedding_dim=dimension), ("R-MAC whitens regions by the file",)
    return draft, ()


def _check_digest(recipe: EmbedderRecipe, found: str, what: str) -> None:
    if recipe.weights_sha256 not in ("", found):
        raise DataLoss(
            f"{what} have SHA-256 {found}, not {recipe.weights_sha256}",
            metadata={"field": "weights_sha256"},
        )


def _try_out(prepared: Prepared, device: str) -> None:
    embedder = load_embedder(prepared.spec, prepared.weights, device)
    blank = np.full((1, bytes_of(prepared.spec.views)), _GREY, np.uint8)
    embeddings, norms = embedder.embed(blank)
    if not (np.isfinite(embeddings).all() and np.isfinite(norms).all()):
        raise InvalidArgument(
            f"the weights of '{prepared.spec.backbone}' give no finite embedding of a grey image: "
            "they are damaged, or belong to another backbone",
            reason="WEIGHTS_NOT_FINITE",
        )
