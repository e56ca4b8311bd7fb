"""`shelflens deadletters`: messages that no worker took."""

import base64
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shelflens.cli.output import (
    AsJson,
    Limit,
    Target,
    connect,
    print_json,
    print_json_list,
    say,
    show_table,
)
from shelflens.cli.safe_text import safe_text
from shelflens.errors import InvalidArgument, ShelflensError

if TYPE_CHECKING:
    from shelflens.client import Client
    from shelflens.values import DeadLetter

app = typer.Typer(
    help="Look after messages that no worker took.", no_args_is_help=True, rich_markup_mode=None
)
_SHOWN = 4_000  # bytes of a body
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME...", help="With or without deadLetters/.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="Every letter there is now.")]
OfReason = Annotated[str, typer.Option("--reason", help="Every letter with this reason.")]


@app.command("list")
def list_(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Only those with this reason.")] = "",
    queue: Annotated[str, typer.Option(help="Only those of this queue.")] = "",
    limit: Limit = 100,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    with connect(context, target) as client:
        found = islice(client.list_dead_letters(reason=reason, queue=queue), limit)
        if as_json:
            print_json_list(_listed(each) for each in found)
            return
        show_table(
            found,
            (
                ("LETTER", lambda each: each.name),
                ("REASON", lambda each: safe_text(each.reason)),
                ("QUEUE", lambda each: safe_text(each.queue)),
                ("TASK", lambda each: safe_text(each.task)),
                ("OPERATION", lambda each: safe_text(each.operation)),
                ("BYTES", lambda each: each.size_bytes),
                ("TIME", _time),
            ),
            as_json=False,
            empty="no dead letters",
        )


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="With or without deadLetters/.")],
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with its headers and body."""
    with connect(context, target) as client:
        letter = client.get_dead_letter(name)
    if as_json:
        print_json(_whole(letter))
        return
    for label, value in _listed(letter).items():
        if value not in (None, "", 0):
            typer.echo(f"{label}: {value}")
    for key, text in sorted(letter.headers.items()):
        typer.echo(f"header {safe_text(key)}: {safe_text(text)}")
    typer.echo(f"body: {safe_text(letter.body[:_SHOWN], lines=True)}")
    if letter.size_bytes > _SHOWN:
        say(f"{letter.size_bytes} bytes in all; --json shows more of them")


@app.command()
def retry(
    context: typer.Context,
    names: Names = None,
    every: All = False,
    reason: OfReason = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also what this version cannot read.")
    ] = False,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Put messages back on their queues and forget their letters."""
    with connect(context, target) as client:
        chosen = _chosen(client, names, every, reason)

        def work(name: str) -> str:
            return f"back on {client.retry_dead_letter(name, force=force)}"

        _each(chosen, work, "retried", as_json)


@app.command()
def drop(
    context: typer.Context,
    names: Names = None,
    every: All = False,
    reason: OfReason = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Forget letters; their messages are gone for good."""
    with connect(context, target) as client:
        chosen = _chosen(client, names, every, reason)
        if not names and chosen and not yes and sys.stdin.isatty():
            _ask(len(chosen))

        def work(name: str) -> str:
            client.delete_dead_letter(name)
            return "dropped"

        _each(chosen, work, "dropped", as_json)


def _chosen(client: "Client", names: Sequence[str] | None, every: bool, reason: str) -> list[str]:
    """What is there now: a message that dies again meanwhile is another letter."""
    if bool(names) + every + bool(reason) != 1:
        raise InvalidArgument(
            "say which letters: NAMEs, or --all, or --reason R", reason="LETTERS_MISSING"
        )
    if names:
        return list(names)
    return [each.name for each in client.list_dead_letters(reason=reason, page_size=1_000)]


def _each(chosen: Sequence[str], work: Callable[[str], str], done: str, as_json: bool) -> None:
    """Does all that can be done. Exit code 1 when something could not."""
    outcomes = [_outcome(name, work, alone=len(chosen) == 1) for name in chosen]
    failed = sum("error" in each for each in outcomes)
    if as_json:
        print_json_list(outcomes)
    else:
        for each in outcomes:
            if "error" in each:
                say(f"{each['name']}: {safe_text(str(each['error']))}")
            else:
                typer.echo(f"{each['name']}\t{each['outcome']}")
        say(f"{len(outcomes) - failed} {done}, {failed} failed" if outcomes else "no dead letters")
    if failed:
        raise typer.Exit(1)


def _outcome(name: str, work: Callable[[str], str], alone: bool) -> dict[str, Any]:
    try:
        return {"name": name, "outcome": work(name)}
    except ShelflensError as error:
        if alone:
            raise
        return {"name": name, "error": error}


def _ask(count: int) -> None:
    """Raises Abort unless the user agrees. On stderr alone: stdout is the result's."""
    typer.echo(f"drop {count} messages for good? [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise typer.Abort


def _listed(letter: "DeadLetter") -> dict[str, Any]:
    return {
        "name": letter.name,
        "reason": safe_text(letter.reason),
        "detail": safe_text(letter.detail),
        "queue": safe_text(letter.queue),
        "routing_key": safe_text(letter.routing_key),
        "task": safe_text(letter.task),
        "operation": safe_text(letter.operation),
        "content_type": safe_text(letter.content_type),
        "size_bytes": letter.size_bytes,
        "death_count": letter.death_count,
        "create_time": _time(letter) or None,
    }


def _whole(letter: "DeadLetter") -> dict[str, Any]:
    return _listed(letter) | {
        "headers": {safe_text(key): safe_text(each) for key, each in letter.headers.items()},
        "body": safe_text(letter.body),
        "body_base64": base64.b64encode(letter.body).decode(),
    }


def _time(letter: "DeadLetter") -> str:
    time = letter.create_time
    return time.isoformat(timespec="seconds").replace("+00:00", "Z") if time else ""
