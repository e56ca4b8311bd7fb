"""`shelflens models create`: a model of a backbone, of another model, or of several."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelflens.cli.output import AsJson, Target, connect, print_json, say
from shelflens.cli.watching import finish, tell_how_to_rejoin, wait_for, watching
from shelflens.model_options import ModelOptions, check_model_options

if TYPE_CHECKING:
    from shelflens.client import Client

_STORED = "uploads/"
_SPELLED = {"base": "--from", "dimension": "--dim", "resolutions": "--resolution"}
Text = str | None


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="With or without models/.")],
    backbone: Annotated[
        Text, typer.Option(metavar="TIMM", help="Make it of this timm model.", show_default=False)
    ] = None,
    pooling: Annotated[
        Text, typer.Option(help="avg (unless given), max, gem, cls, lca, rmac.")
    ] = None,
    resolution: Annotated[
        Text,
        typer.Option(metavar="N,N", help="Sides in pixels that are embedded and averaged: 224,288"),
    ] = None,
    fit: Annotated[
        Text, typer.Option(help="crop (unless given): the centre; pad: the whole image.")
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror image.")] = False,
    autocrop: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Only the box with this share of the highest energy."),
    ] = None,
    gem_p: Annotated[float | None, typer.Option(help="Exponent of gem; 3 unless given.")] = None,
    lca_average: Annotated[
        Text, typer.Option(help="Of lca: windows (unless given) or sizes count equally.")
    ] = None,
    rmac_levels: Annotated[int | None, typer.Option(help="Of rmac; 3 unless given.")] = None,
    head_dim: Annotated[
        int | None, typer.Option(help="Length that the projection head in the weights gives.")
    ] = None,
    precision: Annotated[
        Text, typer.Option(help="bf16 or fp32; the fastest of the worker unless given.")
    ] = None,
    weights: Annotated[
        Text,
        typer.Option(
            metavar="FILE",
            help="Send these weights (.safetensors, .pth, .pt, .bin), or uploads/NAME of before; "
            "else built in or from timm's hub.",
        ),
    ] = None,
    weights_sha256: Annotated[
        Text, typer.Option(metavar="HEX", help="Refuse weights with another SHA-256.")
    ] = None,
    base: Annotated[
        Text, typer.Option("--from", metavar="MODEL", help="Make it of this model.")
    ] = None,
    whitening_from: Annotated[
        Text, typer.Option(metavar="CATALOG", help="With a whitening of this catalogue's images.")
    ] = None,
    pca_from: Annotated[
        Text, typer.Option(metavar="CATALOG", help="With a PCA of this catalogue's images.")
    ] = None,
    dim: Annotated[int | None, typer.Option(help="Values to keep; all unless given.")] = None,
    shrinkage: Annotated[
        float | None, typer.Option(help="Of a whitening, 0 (unless given) to 1.")
    ] = None,
    unnormalised_input: Annotated[
        bool, typer.Option("--unnormalised-input", help="Fit it to embeddings at their own length.")
    ] = False,
    ensemble: Annotated[
        Text, typer.Option(metavar="MODEL,MODEL", help="Make it of these models together.")
    ] = None,
    distance: Annotated[
        Text, typer.Option(help="cosine (unless given), euclidean, manhattan.")
    ] = None,
    unnormalised: Annotated[
        bool, typer.Option("--unnormalised", help="Leave embeddings at their own length.")
    ] = False,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Check it and make nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it is made.")] = True,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Make a model: of a --backbone, --from another model, or as --ensemble of several."""
    options = ModelOptions(
        backbone=backbone,
        pooling=pooling,
        resolutions=_sides(resolution),
        fit=fit,
        flip=flip,
        autocrop=autocrop,
        gem_p=gem_p,
        lca_average=lca_average,
        rmac_levels=rmac_levels,
        head_dim=head_dim,
        precision=precision,
        weights=weights,
        weights_sha256=weights_sha256,
        base=base,
        whitening_from=whitening_from,
        pca_from=pca_from,
        dimension=dim,
        shrinkage=shrinkage,
        unnormalised_input=unnormalised_input,
        ensemble=() if ensemble is None else _listed(ensemble),
        distance=distance,
        unnormalised=unnormalised,
        validate_only=validate_only,
    )
    check_model_options(options, _spell)
    with connect(context, target) as client:
        _send_weights(client, name, options)
        operation = client.create_model(name, **options)
        if validate_only:
            operation.raise_for_error()
        elif wait:
            operation = wait_for(client, operation.name)
    if validate_only and not as_json:
        say(f"{name} can be made; nothing was")
    elif wait and not validate_only:
        finish(operation, as_json=as_json)
    elif as_json:
        print_json(operation)
    else:
        tell_how_to_rejoin(operation)


def _send_weights(client: "Client", name: str, options: ModelOptions) -> None:
    """Puts the name of the sent file into the options. Raises ShelflensError."""
    from shelflens.names import model_id

    weights = options.get("weights")
    model_id(name)  # rather now than when the weights are sent
    if not weights or (weights.startswith(_STORED) and not Path(weights).exists()):
        return
    with watching("interrupted before the weights were sent; nothing was made") as watch:
        options["weights"] = client.upload_weights(
            weights, sha256=options.get("weights_sha256") or "", on_progress=watch.show_weights
        )
    say(f"sent {weights} as {options['weights']}")


def _spell(option: str) -> str:
    return _SPELLED.get(option, f"--{option.replace('_', '-')}")


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",")]


def _sides(text: str | None) -> tuple[int, ...]:
    """`224,288` -> (224, 288). Raises BadParameter."""
    if text is None:
        return ()
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"--resolution: '{text}' is no list of sides like 224,288"
        ) from None
