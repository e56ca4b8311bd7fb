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
        Path, typer.Argument(help="CSV, TSV, JSON Lines, Parquet, or a directory of images.")
    ],
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="FIELD=COLUMN", help="Take a field from this column; repeatable."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="ROOT", help="Where image paths start; the manifest's folder."),
    ] = None,
    separator: Annotated[str, typer.Option(help="Between several values in one cell.")] = "|",
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
