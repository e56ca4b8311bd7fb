"""Weights from timm's hub, where it can be reached."""

import tempfile
from pathlib import Path

import huggingface_hub
import structlog

from services.core.domain.errors import FailedPrecondition
from services.vision.backbone import pixel_recipe
from services.vision.timm_import import timm
from services.vision.weights import State

_log = structlog.get_logger(__name__)
_PATIENCE = 10.0  # seconds for the hub's first answer


def hub_name(backbone: str) -> str:
    """The timm name whose weights the hub has: with timm's usual tag where the name has none.

    Raises FailedPrecondition (WEIGHTS_NOT_FOUND) for a backbone without published weights.
    """
    recipe = pixel_recipe(backbone)
    if not any(recipe.get(key) for key in ("hf_hub_id", "url")):
        raise FailedPrecondition(
            f"timm has no weights for '{backbone}': upload a file",
            reason="WEIGHTS_NOT_FOUND",
            metadata={"field": "backbone"},
        )
    tag = recipe.get("tag")
    return f"{recipe['architecture']}.{tag}" if tag else str(recipe["architecture"])


def fetch_weights(backbone: str, folder: Path) -> State:
    """The tensors of hub_name(backbone), classifier included, by timm's names; nothing is kept in
    `folder`. Raises FailedPrecondition (HUB_UNREACHABLE)."""
    recipe = pixel_recipe(backbone)
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        try:
            if repository := recipe.get("hf_hub_id"):
                # Asked once, before timm asks for the file: that would repeat it for a minute.
                huggingface_hub.HfApi().model_info(str(repository), timeout=_PATIENCE)
            model = timm.create_model(backbone, pretrained=True, cache_dir=cache)
        except Exception as error:  # its kinds change with the hub's HTTP library
            _log.warning("hub.unreachable", backbone=backbone, exc_info=True)
            raise FailedPrecondition(
                f"the weights of '{backbone}' could not be fetched from timm's hub "
                f"({type(error).__name__}: {str(error).partition(chr(10))[0][:200]}); allow this "
                "worker to reach the hub, or give a file with the weights",
                reason="HUB_UNREACHABLE",
                metadata={"backbone": backbone},
            ) from error
        state: State = model.state_dict()
    return state
