"""How commands speak: values and JSON on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from shelflens.client import Client

T = TypeVar("T")

Target = Annotated[
    str | None,
    typer.Option("--target", help="Server as HOST:PORT.", show_default=False, metavar="HOST:PORT"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")]


@contextmanager
def connect(context: typer.Context, target: str | None) -> "Iterator[Client]":
    """A client for the target of the command, of the group before it, or of the environment."""
    from shelflens.client import Client

    with Client(target or context.find_root().params.get("target")) as client:
        yield client


def say(text: str) -> None:
    """A line for people, on stderr, so that stdout stays what was asked for."""
    typer.echo(text, err=True)


def print_json(value: object) -> None:
    """One value as indented JSON."""
    from shelflens.values import to_json

    typer.echo(json.dumps(to_json(value), indent=2, ensure_ascii=False))


def print_json_list(values: Iterable[object]) -> None:
    """Many values as one JSON array, an element a line, without holding them all."""
    from shelflens.values import to_json

    opening = "["
    for value in values:
        typer.echo(opening + "\n  " + json.dumps(to_json(value), ensure_ascii=False), nl=False)
        opening = ","
    typer.echo("[]" if opening == "[" else "\n]")


def show(value: object, as_json: bool) -> None:
    """One value, as JSON or as lines of `name: value` without the empty ones."""
    from shelflens.values import to_json

    if as_json:
        print_json(value)
        return
    for name, each in to_json(value).items():
        if each not in (None, "", [], {}):
            text = json.dumps(each, ensure_ascii=False) if isinstance(each, dict | list) else each
            typer.echo(f"{name}: {text}")


def show_table(
    values: Iterable[T],
    columns: Sequence[tuple[str, Callable[[T], Any]]],
    *,
    as_json: bool,
    empty: str,
) -> None:
    """Values as a table for people (tab-separated when stdout is no terminal) or as JSON."""
    if as_json:
        print_json_list(values)
        return
    rows = ([_cell(read(value)) for _, read in columns] for value in values)
    if not sys.stdout.isatty():
        count = 0
        for count, row in enumerate(rows, 1):  # noqa: B007 - counted for the line below
            typer.echo("\t".join(row))
        if not count:
            say(empty)
        return
    _rich_table([name for name, _ in columns], list(rows), empty)


def _rich_table(names: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        say(empty)
        return
    table = Table(*names, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(each) for each in row))  # a title is no markup
    Console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(str(value).split())
