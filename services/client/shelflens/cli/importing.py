"""`shelflens import`: fills a catalogue from a list of products or a directory of images."""

from pathlib import Path
from typing import Annotated

import typer

from shelflens.cli.catalogs import Catalog
from shelflens.cli.output import AsJson, Target, connect, print_json, say
from shelflens.cli.watching import finish, watching


def import_command(
    context: typer.Context,
    catalog: Catalog,
    source: Annotated[
        Path,
        typer.Argument(
            help="CSV, TSV, JSON Lines, Parquet or XML, an archive, or a directory of images."
        ),
    ],
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="FIELD=COLUMN", help="Take a field from this column; repeatable."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="ROOT",
            help="Where image paths start, a folder or an archive; the manifest's folder.",
        ),
    ] = None,
    separator: Annotated[str, typer.Option(help="Between several values in one cell.")] = "|",
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="What the columns mean: see `shelflens presets list`, or a YAML file of your own; "
            "none for none. Told by the columns unless given.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Part of a data set: train, val, test.", show_default=False
        ),
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option(
            metavar="MEMBER",
            help="Which file of an archive is the manifest, where that cannot be told.",
            show_default=False,
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Full feed: remove products that it no longer lists."),
    ] = False,
    max_removals: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Most that --prune may remove: 10% or 0.1 of the catalogue; 5% unless given.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would change.")
    ] = False,
    max_errors: Annotated[
        int | None, typer.Option(min=0, help="Stop once more rows than this are rejected.")
    ] = None,
    fold_duplicates: Annotated[
        bool,
        typer.Option(
            "--fold-duplicates", help="Keep near-duplicates within a product out of search."
        ),
    ] = False,
    embeddings_model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The rows bring embeddings that this model made elsewhere, in a column "
            "`embedding` or with --embeddings.",
            show_default=False,
        ),
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Embeddings as .npy: its row i belongs to row i of the manifest.",
            show_default=False,
        ),
    ] = None,
    embeddings_distance: Annotated[
        str | None,
        typer.Option(
            metavar="DISTANCE",
            help="How they are compared: cosine (unless given), euclidean, manhattan.",
            show_default=False,
        ),
    ] = None,
    by_reference: Annotated[
        bool,
        typer.Option(
            "--by-reference",
            help="Do not copy images of objects (object:incoming/...): they must stay as they are.",
        ),
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the import is done.")] = True,
    fail_on_rejected: Annotated[
        bool, typer.Option("--fail-on-rejected", help="Exit 4 when rows were rejected.")
    ] = False,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Import products. Makes the catalogue when missing; uploads only what the server lacks."""
    with connect(context, target) as client, watching() as bars:
        operation = client.import_products(
            catalog,
            source,
            mapping=mapping or (),
            root=images,
            separator=separator,
            preset=preset,
            split=split,
            member=manifest,
            prune=prune,
            max_removals=None if max_removals is None else _share(max_removals),
            validate_only=dry_run,
            max_errors=max_errors,
            fold_duplicates=fold_duplicates,
            embeddings_model=embeddings_model,
            embeddings=embeddings,
            embeddings_distance=embeddings_distance,
            by_reference=by_reference,
            wait=wait,
            on_progress=bars.show,
            on_note=bars.note,
        )
    if wait:
        finish(operation, as_json=as_json, fail_on_rejected=fail_on_rejected)
    elif as_json:
        print_json(operation)
    else:
        say(f"started; follow it with: shelflens operations wait {operation.name}")


def _share(text: str) -> float:
    """`5%` and `0.05` are the same. Raises BadParameter."""
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise typer.BadParameter(f"'{text}' is no share: write 10% or 0.1")
    return number
