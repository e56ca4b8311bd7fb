"""`shelflens catalogs`: create, read and delete catalogues."""

from itertools import islice
from typing import Annotated

import typer

from shelflens.cli.output import AsJson, Limit, Target, connect, say, show, show_table
from shelflens.cli.watching import wait_for
from shelflens.errors import InvalidArgument

app = typer.Typer(
    help="Create, list, change and delete catalogues.", no_args_is_help=True, rich_markup_mode=None
)
Catalog = Annotated[str, typer.Argument(metavar="CATALOG", help="Id, or catalogs/ID.")]


@app.command()
def create(
    context: typer.Context,
    catalog: Catalog,
    name: Annotated[str, typer.Option("--name", help="A name for people.")] = "",
    model: Annotated[str, typer.Option(help="Model; the built-in one unless given.")] = "",
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Create a catalogue."""
    with connect(context, target) as client:
        show(client.create_catalog(catalog, display_name=name, model=model), as_json)


@app.command()
def get(
    context: typer.Context, catalog: Catalog, target: Target = None, as_json: AsJson = False
) -> None:
    """Show one catalogue."""
    with connect(context, target) as client:
        show(client.get_catalog(catalog), as_json)


@app.command("list")
def list_(
    context: typer.Context, limit: Limit = 1000, target: Target = None, as_json: AsJson = False
) -> None:
    """List catalogues."""
    with connect(context, target) as client:
        show_table(
            islice(client.list_catalogs(), limit),
            (
                ("CATALOG", lambda each: each.name),
                ("NAME", lambda each: each.display_name),
                ("PRODUCTS", lambda each: each.product_count),
                ("IMAGES", lambda each: each.image_count),
                ("MODEL", lambda each: each.model),
            ),
            as_json=as_json,
            empty="no catalogues; make one with: shelflens import CATALOG SOURCE",
        )


@app.command()
def update(
    context: typer.Context,
    catalog: Catalog,
    name: Annotated[
        str | None, typer.Option("--name", help="The new name for people.", show_default=False)
    ] = None,
    feedback_photo_days: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS",
            help="Keep users' photos with their feedback for so long; 0: do not, and remove them.",
            show_default=False,
        ),
    ] = None,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Change a catalogue's name for people, or for how long photos of feedback are kept."""
    if name is None and feedback_photo_days is None:
        raise InvalidArgument(
            "give --name or --feedback-photo-days: nothing is to be changed",
            reason="INVALID_OPTION",
        )
    with connect(context, target) as client:
        changed = client.update_catalog(
            catalog, display_name=name, feedback_photo_days=feedback_photo_days
        )
    show(changed, as_json)


@app.command()
def delete(
    context: typer.Context,
    catalog: Catalog,
    force: Annotated[bool, typer.Option(help="Delete its products too.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it is gone.")] = True,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Delete a catalogue."""
    with connect(context, target) as client:
        operation = client.delete_catalog(catalog, force=force)
        if wait:
            operation = wait_for(client, operation.name).raise_for_error()
        if as_json:
            show(operation, as_json)
        else:
            say(f"deleted {catalog}" if operation.done else f"started {operation.name}")
