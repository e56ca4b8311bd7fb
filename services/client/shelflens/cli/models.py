"""`shelflens models`: make, list, show and delete models."""

from itertools import islice
from typing import Annotated

import typer

from shelflens.cli.model_making import create
from shelflens.cli.model_text import (
    SHORT_DIGEST,
    model_lines,
    parts,
    removable,
    where_deployed,
)
from shelflens.cli.output import AsJson, Limit, Target, connect, print_json, say, show_table

app = typer.Typer(
    help="Make, list, show and delete models.", no_args_is_help=True, rich_markup_mode=None
)
app.command()(create)
Name = Annotated[str, typer.Argument(metavar="NAME", help="With or without models/.")]


@app.command("list")
def list_(
    context: typer.Context, limit: Limit = 1000, target: Target = None, as_json: AsJson = False
) -> None:
    """List models: what they are made of, where they are deployed, which could be deleted."""
    with connect(context, target) as client:
        show_table(
            islice(client.list_models(), limit),
            (
                ("MODEL", lambda each: each.name),
                ("DIGEST", lambda each: each.digest[:SHORT_DIGEST]),
                ("VALUES", lambda each: each.embedding_dimension),
                ("PARTS", parts),
                ("DEPLOYED", where_deployed),
                ("REMOVABLE", lambda each: "yes" if removable(each) else "no"),
            ),
            as_json=as_json,
            empty="no models",
        )


@app.command()
def show(
    context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False
) -> None:
    """Show one model with all its parts."""
    with connect(context, target) as client:
        model = client.get_model(name)
    if as_json:
        print_json(model)
        return
    for line in model_lines(model):
        typer.echo(line)


@app.command()
def delete(
    context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False
) -> None:
    """Delete a model that is deployed nowhere."""
    with connect(context, target) as client:
        client.delete_model(name)
    if as_json:
        print_json({"deleted": name})
    else:
        say(f"deleted {name}")
