"""`shelflens presets`: what is known about the exports of shops and about data sets."""

from typing import Annotated

import typer

from shelflens import presets
from shelflens.cli.output import AsJson, print_json, show_table

app = typer.Typer(
    help="List and show presets, to copy and edit.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the built-in presets."""
    show_table(
        [presets.find(name) for name in presets.builtin_names()],
        (
            ("PRESET", lambda each: each.name),
            ("SPLITS", lambda each: ", ".join(each.splits)),
            ("READS", lambda each: each.title),
        ),
        as_json=as_json,
        empty="no presets",
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A preset, or a file to check.")],
    as_json: AsJson = False,
) -> None:
    """Print the YAML of a preset; a mistake in it is named."""
    preset = presets.find(name)
    if as_json:
        print_json(preset)
    else:
        typer.echo(presets.text_of(name).rstrip())
