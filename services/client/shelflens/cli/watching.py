"""Watching an import: live bars on a terminal, a way back after Ctrl-C, the counts at the end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from shelflens.cli.operation_text import erasure_line, import_lines
from shelflens.cli.output import print_json, say

if TYPE_CHECKING:
    from shelflens.client import Client
    from shelflens.importing.progress import Progress
    from shelflens.values import Operation

_TITLES = {"upload": "uploading", "import": "importing"}
EXIT_ERROR, EXIT_REJECTED, EXIT_NOT_PRUNED, EXIT_INTERRUPTED = 1, 4, 6, 130


class Watch:
    """Hears progress and notes. Off a terminal it prints the notes alone."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars  # rich.progress.Progress, or None
        self._tasks: dict[str, Any] = {}
        self.operation = ""

    def note(self, text: str) -> None:
        """A decision worth saying, above the bars."""
        if self._bars is None:
            say(text)
        else:
            self._bars.console.print(text, markup=False, highlight=False, style="dim")

    def show(self, progress: "Progress") -> None:
        """Moves the bar of the phase."""
        if progress.operation is not None:
            self.operation = progress.operation.name
        if self._bars is None:
            return
        phase = progress.phase
        if phase not in self._tasks:
            self._finish_phases()
            self._tasks[phase] = self._bars.add_task(_TITLES[phase], total=None, rows=0, rejected=0)
        self._bars.update(
            self._tasks[phase],
            # Hundredths of a percent: the share is known where the number of rows is not.
            total=None if progress.fraction is None else 10_000,
            completed=int((progress.fraction or 0) * 10_000),
            rows=progress.rows,
            rejected=progress.rejected,
            megabytes=progress.uploaded_bytes / 1e6,
        )

    def _finish_phases(self) -> None:
        for task in self._tasks.values():
            self._bars.update(task, total=10_000, completed=10_000)


@contextmanager
def watching() -> Iterator[Watch]:
    """Bars on stderr while it lasts. Ctrl-C prints how to come back and exits 130."""
    watch = Watch(None)
    try:
        if not sys.stderr.isatty():
            yield watch
            return
        with _bars() as bars:
            watch = Watch(bars)
            yield watch
    except KeyboardInterrupt:
        if watch.operation:
            say(f"{watch.operation} goes on without you; come back with:")
            say(f"  shelflens operations wait {watch.operation}")
        else:
            say("interrupted before the import began; what is uploaded is not sent again")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def wait_for(client: "Client", name: str, timeout: float | None = None) -> "Operation":
    """Waits for an operation with a bar."""
    from shelflens.importing.progress import Progress
    from shelflens.names import operation_name

    with watching() as watch:
        watch.operation = operation_name(name)
        return client.wait_operation(
            name,
            timeout=timeout,
            on_progress=lambda each: watch.show(Progress.of_operation(each)),
        )


def finish(operation: "Operation", *, as_json: bool, fail_on_rejected: bool) -> None:
    """Prints what came of an operation; raises its error, or Exit for rejected rows."""
    if as_json:
        print_json(operation)
        if operation.error is not None:
            raise typer.Exit(EXIT_ERROR)
    else:
        for line in import_lines(operation) if operation.kind == "import" else ():
            typer.echo(line)
        if operation.erased:
            typer.echo(erasure_line(operation.erased))
        operation.raise_for_error()
        typer.echo(f"{operation.name} {operation.state}")
    if operation.prune is not None and operation.prune.refusal:
        raise typer.Exit(EXIT_NOT_PRUNED)
    if fail_on_rejected and operation.counts.rows_rejected:
        raise typer.Exit(EXIT_REJECTED)


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft
    from rich.text import Text

    class Figures(ProgressColumn):
        """Rows, rate, megabytes, rejected rows."""

        def render(self, task: Task) -> Text:
            rows, seconds = task.fields["rows"], task.finished_time or task.elapsed or 0.0
            text = f"{rows} rows, {rows / seconds if seconds else 0:.0f}/s"
            if megabytes := task.fields.get("megabytes"):
                text += f", {megabytes:.1f} MB sent"
            shown = Text(text)
            if rejected := task.fields["rejected"]:
                shown.append(f", {rejected} rejected", style="yellow")
            return shown

    title = TextColumn("{task.description}")
    left = TimeLeft(elapsed_when_finished=True)
    return Progress(title, BarColumn(), Figures(), left, console=Console(stderr=True))
