"""`shelflens erase`: removes a product or an image everywhere, for good."""

import sys
from typing import Annotated

import typer

from shelflens.cli.output import AsJson, Target, connect, print_json, say
from shelflens.cli.watching import finish, wait_for


def erase_command(
    context: typer.Context,
    content: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE|PRODUCT", help="CATALOG/SKU, CATALOG/SKU/SHA256, or a full name."
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it is gone.")] = True,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Remove an image, or a product with its images, everywhere: nothing brings it back."""
    from shelflens.names import content_name

    name = content_name(content)
    if not yes and sys.stdin.isatty():
        _ask(name)
    with connect(context, target) as client:
        operation = client.erase(content)
        if wait:
            operation = wait_for(client, operation.name)
    if wait:
        finish(operation, as_json=as_json, fail_on_rejected=False)
    elif as_json:
        print_json(operation)
    else:
        say(f"hidden; follow the rest with: shelflens operations wait {operation.name}")


def _ask(name: str) -> None:
    """Raises Abort unless the user agrees. On stderr alone: stdout is the result's."""
    what = "this image" if "/images/" in name else "this product and all its images"
    typer.echo(f"{name}: erase {what} for good? [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise typer.Abort
