"""`shelflens operations`: imports and deletions that run on the server."""

from itertools import islice
from typing import Annotated

import typer

from shelflens.cli.output import AsJson, Limit, Target, connect, print_json, say, show, show_table
from shelflens.cli.watching import finish, wait_for

app = typer.Typer(
    help="Follow imports and other long-running work.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="With or without operations/.")]


@app.command("list")
def list_(
    context: typer.Context, limit: Limit = 100, target: Target = None, as_json: AsJson = False
) -> None:
    """List operations."""
    with connect(context, target) as client:
        show_table(
            islice(client.list_operations(), limit),
            (
                ("OPERATION", lambda each: each.name),
                ("KIND", lambda each: each.kind),
                ("STATE", lambda each: each.state),
                ("CATALOG", lambda each: each.catalog),
                ("ROWS", lambda each: each.counts.rows_read or ""),
                ("NAME", lambda each: each.display_name),
            ),
            as_json=as_json,
            empty="no operations",
        )


@app.command()
def get(context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False) -> None:
    """Show one operation as it is now."""
    with connect(context, target) as client:
        show(client.get_operation(name), as_json)


@app.command()
def wait(
    context: typer.Context,
    name: Name,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Give up waiting after so many seconds.")
    ] = None,
    fail_on_rejected: Annotated[
        bool, typer.Option("--fail-on-rejected", help="Exit 4 when rows were rejected.")
    ] = False,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Wait until an operation is done; also rejoins an import that was left with Ctrl-C."""
    with connect(context, target) as client:
        operation = wait_for(client, name, timeout)
    finish(operation, as_json=as_json, fail_on_rejected=fail_on_rejected)


@app.command()
def cancel(
    context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False
) -> None:
    """Ask an operation to stop."""
    with connect(context, target) as client:
        client.cancel_operation(name)
        if as_json:
            show(client.get_operation(name), as_json)
        else:
            say(f"asked {name} to stop")


@app.command()
def delete(
    context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False
) -> None:
    """Forget a finished operation."""
    with connect(context, target) as client:
        client.delete_operation(name)
    if as_json:
        print_json({"deleted": name})
    else:
        say(f"deleted {name}")
