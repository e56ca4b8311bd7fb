"""`shelflens operations`: imports, deployments and deletions that run on the server."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelflens.cli.operation_text import operation_lines
from shelflens.cli.output import (
    AsJson,
    Limit,
    Target,
    connect,
    print_json,
    print_json_list,
    say,
    show,
    show_table,
)
from shelflens.cli.saving import STDOUT, saved
from shelflens.cli.watching import finish, wait_for

if TYPE_CHECKING:
    from shelflens.client import Client
    from shelflens.values import Operation

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
                ("NAME", lambda each: each.display_name or each.target),
            ),
            as_json=as_json,
            empty="no operations",
        )


@app.command()
def get(
    context: typer.Context,
    name: Name,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page about an import.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="ROOT", help="With --html: pictures of what was rejected, from here."),
    ] = None,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Show one operation as it is now."""
    with connect(context, target) as client:
        operation = client.get_operation(name)
        if html is not None:
            _write_page(client, operation, html, images)
    if as_json:
        print_json(operation)
    elif html is None:
        for line in operation_lines(operation):
            typer.echo(line)


def _write_page(client: "Client", operation: "Operation", path: Path, images: Path | None) -> None:
    from shelflens.reports.page import import_page
    from shelflens.reports.rejections import read_rejections
    from shelflens.reports.thumbnails import Thumbnails

    thumbnails = None if images is None else Thumbnails(images)
    pieces = client.download_import_errors(operation.name)
    with saved(path) as file:
        for text in import_page(operation, read_rejections(pieces), thumbnails):
            file.write(text.encode("utf-8", "replace"))
    if str(path) != STDOUT:
        say(f"wrote {path}")


@app.command()
def errors(
    context: typer.Context,
    name: Name,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; - is stdout.")
    ] = Path(STDOUT),
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Write every rejected row of an import as CSV: row, SKU, reason, field, value."""
    from shelflens.reports.rejections import read_rejections

    with connect(context, target) as client:
        pieces = client.download_import_errors(name)
        if str(output) == STDOUT and as_json:
            print_json_list(read_rejections(pieces))
            return
        with saved(output) as file:
            size = sum(file.write(piece) for piece in pieces)
    if as_json:
        print_json({"operation": name, "file": str(output), "size_bytes": size})
    elif str(output) != STDOUT:
        say(f"wrote {output}")


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
    """Wait until an operation is done; also rejoins one that was left with Ctrl-C."""
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
