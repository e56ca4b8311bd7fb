"""`shelflens evaluate`, `evaluations` and `calibrations`: what models reach on a dataset."""

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelflens.cli.catalogs import Catalog
from shelflens.cli.evaluation_text import evaluation_lines
from shelflens.cli.output import AsJson, Limit, Target, connect, print_json, say, show_table
from shelflens.cli.ranking import STAGES, read_stages, stages_text
from shelflens.cli.saving import saved
from shelflens.errors import FailedPrecondition, InvalidArgument, Unavailable

if TYPE_CHECKING:
    from shelflens.client import Client
    from shelflens.values import Evaluation

EXIT_INTERRUPTED = 130
_PATIENCE = 60.0  # seconds without an answer, before a watch gives up
app = typer.Typer(
    help="List, show, watch, cancel and delete evaluations; save their reports.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
calibrations = typer.Typer(
    help="List and delete what makes scores probabilities.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="With or without evaluations/.")]
Text = str | None


def evaluate_command(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="With or without datasets/.")],
    model: Annotated[Text, typer.Option(metavar="MODEL", help="The model to measure.")] = None,
    compare: Annotated[
        Text, typer.Option(metavar="MODEL,MODEL", help="Several, against the first.")
    ] = None,
    stages: Annotated[str, typer.Option(metavar="STAGES", help=f"Any of {STAGES}.")] = "",
    ks: Annotated[
        str, typer.Option("--ks", metavar="K,K", help="Ranks of the metrics.")
    ] = "1,5,10",
    classifier: Annotated[
        bool, typer.Option("--classifier", help="Also fit a logistic regression.")
    ] = False,
    calibrate: Annotated[
        Text,
        typer.Option(
            metavar="METHOD", help="isotonic or platt: make scores probabilities from now on."
        ),
    ] = None,
    precision: Annotated[
        float, typer.Option(help="Share of accepted answers that are to be right.")
    ] = 0.95,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the HTML report goes; evaluation-ID.html."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is done.")] = True,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Measure models on a dataset, with intervals, and save a report."""
    models = [each.strip() for each in (compare or model or "").split(",") if each.strip()]
    if not models or (model and compare):
        raise InvalidArgument("give --model or --compare, one of them", reason="INVALID_OPTION")
    wanted = read_stages(stages)
    ranks = _ranks(ks)
    with connect(context, target) as client:
        made = client.create_evaluation(
            dataset,
            models,
            stages=wanted,
            ks=ranks,
            classifier=classifier,
            calibrate=calibrate or "",
            precision=precision,
        )
        if not wait:
            print_json(made) if as_json else say(
                f"started; follow it with: shelflens evaluations watch {made.name}"
            )
            return
        done = _watched(client, made)
        if done.has_report:
            path = report or Path(f"evaluation-{made.name.rpartition('/')[2]}.html")
            _save(client, made.name, path)
    _finish(done, as_json)


@app.command("list")
def list_(
    context: typer.Context,
    dataset: Annotated[str, typer.Option(metavar="DATASET", help="Only those on it.")] = "",
    limit: Limit = 100,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """List evaluations, newest first."""
    with connect(context, target) as client:
        show_table(
            islice(client.list_evaluations(dataset), limit),
            (
                ("EVALUATION", lambda each: each.name),
                ("STATE", lambda each: each.state),
                ("DATASET", lambda each: each.dataset),
                ("MODELS", lambda each: ", ".join(each.models)),
                ("STAGES", lambda each: stages_text(each.stages)),
                ("BEGAN", lambda each: f"{each.create_time:%Y-%m-%d %H:%M}"),
            ),
            as_json=as_json,
            empty="no evaluations; make one with: shelflens evaluate DATASET --model MODEL",
        )


@app.command()
def show(
    context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False
) -> None:
    """Show one evaluation."""
    with connect(context, target) as client:
        found = client.get_evaluation(name)
    _show(found, as_json)


@app.command()
def watch(
    context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False
) -> None:
    """Wait for an evaluation and show what came of it."""
    with connect(context, target) as client:
        done = _watched(client, client.get_evaluation(name))
    _finish(done, as_json)


@app.command()
def cancel(
    context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False
) -> None:
    """Stop an evaluation."""
    with connect(context, target) as client:
        _show(client.cancel_evaluation(name), as_json)


@app.command()
def delete(
    context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False
) -> None:
    """Delete an evaluation that is done, with its report."""
    with connect(context, target) as client:
        client.delete_evaluation(name)
    print_json({"deleted": name}) if as_json else say(f"deleted {name}")


@app.command()
def report(
    context: typer.Context,
    name: Name,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="Where it goes; - for stdout.")
    ] = Path("evaluation.html"),
    target: Target = None,
) -> None:
    """Save the report of an evaluation, one HTML file."""
    with connect(context, target) as client:
        _save(client, name, out)


@calibrations.command("list")
def list_calibrations(
    context: typer.Context, catalog: Catalog, target: Target = None, as_json: AsJson = False
) -> None:
    """List the calibrations of a catalogue, newest first."""
    with connect(context, target) as client:
        show_table(
            client.list_calibrations(catalog),
            (
                ("CALIBRATION", lambda each: each.name),
                ("MODEL", lambda each: each.model or each.model_digest[:12]),
                ("STAGES", lambda each: stages_text(each.stages)),
                ("METHOD", lambda each: each.method),
                ("ACCEPTS FROM", lambda each: each.threshold),
                ("QUERIES", lambda each: each.query_count),
                ("GALLERY", lambda each: each.gallery_count),
            ),
            as_json=as_json,
            empty="nothing is calibrated; see shelflens evaluate --calibrate",
        )


@calibrations.command("delete")
def delete_calibration(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="In full, as the list has it.")],
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Delete a calibration: answers have no probability any more."""
    with connect(context, target) as client:
        client.delete_calibration(name)
    print_json({"deleted": name}) if as_json else say(f"deleted {name}")


def _watched(client: "Client", evaluation: "Evaluation") -> "Evaluation":
    """The evaluation once it is done, through restarts of the server."""
    name, last, step = evaluation.name, evaluation, ""
    given_up = time.monotonic() + _PATIENCE
    try:
        while not last.done:
            try:
                for last in client.watch_evaluation(name):
                    if last.step and last.step != step:
                        say(f"{name}: {last.step}")
                    step, given_up = last.step, time.monotonic() + _PATIENCE
            except Unavailable:
                if time.monotonic() > given_up:
                    raise
                time.sleep(1.0)
    except KeyboardInterrupt:
        say(f"{name} goes on without you; come back with:")
        say(f"  shelflens evaluations watch {name}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    return last


def _save(client: "Client", name: str, path: Path) -> None:
    pieces = client.download_report(name)
    first = next(pieces, b"")  # an error leaves no empty file
    with saved(path) as file:
        file.write(first)
        for piece in pieces:
            file.write(piece)
    say(f"report: {path}")


def _show(evaluation: "Evaluation", as_json: bool) -> None:
    if as_json:
        print_json(evaluation)
        return
    for line in evaluation_lines(evaluation):
        typer.echo(line)


def _finish(evaluation: "Evaluation", as_json: bool) -> None:
    _show(evaluation, as_json)
    if evaluation.state != "SUCCEEDED":
        raise FailedPrecondition(
            f"{evaluation.name}: {evaluation.error_message or evaluation.state}",
            reason=evaluation.error_reason or evaluation.state,
        )


def _ranks(text: str) -> list[int]:
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise InvalidArgument(
            f"--ks: '{text}' is no list of ranks: write 1,5,10", reason="INVALID_OPTION"
        ) from None
