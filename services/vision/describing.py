"""From what a user asks for to the spec of an embedder, before any weights are read."""

from services.core.domain.errors import InvalidArgument
from services.core.domain.model_spec import INTERPOLATIONS, ModelSpec
from services.core.domain.recipes import EmbedderRecipe
from services.vision.backbone import check_sides, embedding_dim, outline, pixel_recipe
from services.vision.pooling import check_pooling
from services.vision.precision import best_precision


def describe(recipe: EmbedderRecipe, weights_sha256: str, device: str = "cpu") -> ModelSpec:
    """The spec of a recipe: how pixels are made is timm's own choice for the backbone, precision
    the device's best unless the recipe names one.

    Raises InvalidArgument (UNKNOWN_BACKBONE, RESOLUTION_UNSUPPORTED, INVALID_MODEL_SPEC).
    """
    pixels = pixel_recipe(recipe.backbone)
    crop = int(pixels["input_size"][-1])
    return ModelSpec(
        backbone=recipe.backbone,
        weights_sha256=weights_sha256,
        embedding_dim=recipe.head_dim or embedding_dim(outline(recipe.backbone)),
        resize=max(crop, int(crop / float(pixels["crop_pct"]))),
        crop=crop,
        mean=tuple(pixels["mean"]),
        std=tuple(pixels["std"]),
        interpolation=_interpolation(str(pixels["interpolation"])),
        precision=recipe.precision or best_precision(device),
        pooling=recipe.pooling,
        distance=recipe.distance,
        normalised=recipe.normalised,
        # One resolution that is the backbone's own is no choice: equal models, equal specs.
        resolutions=() if tuple(recipe.resolutions) == (crop,) else recipe.resolutions,
        fit=recipe.fit,
        flip=recipe.flip,
        autocrop=recipe.autocrop,
        gem_p=recipe.gem_p,
        lca_average=recipe.lca_average,
        rmac_levels=recipe.rmac_levels,
        head_dim=recipe.head_dim,
    )


def check_abilities(spec: ModelSpec) -> None:
    """Passes images without content through the backbone's outline, which takes no weights.

    Raises InvalidArgument (RESOLUTION_UNSUPPORTED, POOLING_UNSUPPORTED, BACKBONE_UNSUPPORTED) for
    what the backbone cannot do.
    """
    sides = [each.crop for each in spec.views]
    tokens = check_sides(spec.backbone, outline(spec.backbone, sides), sides)
    check_pooling(spec.backbone, spec.pooling, tokens)
    if spec.autocrop and tokens.map is None:
        raise InvalidArgument.field(
            "autocrop",
            f"backbone '{spec.backbone}' gives no feature map to find the object in",
            reason="POOLING_UNSUPPORTED",
        )


def _interpolation(name: str) -> str:
    return name if name in INTERPOLATIONS else "bicubic"
